import Logging
import Millrace
import MillracePostgres
import MillraceTesting
import Testing

/// A projection that a function in the database writes: `orders`, a row an order with what its events add up to.
struct SQLProjection: Sendable {
    let store: EventStore

    init(_ store: EventStore) async throws {
        self.store = store
        try await store.client.script(
            """
            CREATE FUNCTION public.put_order(event millrace.events) RETURNS void LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO orders (id, cents, version) VALUES (event.aggregate_id, (event.event_data ->> 'cents')::int, event.version)
                ON CONFLICT (id) DO UPDATE SET cents = orders.cents + excluded.cents, version = excluded.version;
            END
            $$;
            """
        )
    }

    static let table = "CREATE TABLE orders (id text PRIMARY KEY, cents int, version int)"

    func register(
        version: Int = 1,
        tables: String = SQLProjection.table,
        function: String = "public.put_order",
        _ more: String = ""
    ) async throws {
        try await store.client.run(
            """
            SELECT millrace.register_projection('orders', \(version), $_$\(tables)$_$, '{\(function)}', NULL, '{order}', p_lanes => 4\(more))
            """
        )
    }

    /// One event for each order.
    func publish(_ orders: Int, cents: Int = 100) async throws {
        try await store.client.run(
            """
            SELECT millrace.publish_event('order.paid', n::text, 'order', '{"cents": \(cents)}') FROM generate_series(1, \(orders)) AS n
            """
        )
    }

    /// What is read under the projection's own name: rows and their sum.
    func served() async throws -> String? {
        try await store.client.text("SELECT format('%s %s', count(*), coalesce(sum(cents), 0)) FROM public.orders")
    }

    func serving() async throws -> Int? {
        try await store.projections.list(of: "orders").first { $0.state == .serving }?.generation
    }

    /// What the swap says; nil: swapped.
    func swap(_ generation: Int, force: Bool = false) async throws -> String? {
        try await store.client.text("SELECT millrace.swap_projection('orders', \(generation), 0, \(force))")
    }

    /// Runs the daemon's worker for as long as the body takes.
    func working<Value>(_ body: () async throws -> Value) async throws -> Value {
        var quiet = Logger(label: "tests")
        quiet.logLevel = .critical
        let options = WorkerOptions(lease: .milliseconds(600), beat: .milliseconds(50), runsSQLHandlers: true)
        let worker = HandlerWorker(store, options: options, logger: quiet)
        let task = Task { try await worker.run() }
        do {
            let value = try await body()
            worker.stop()
            try await within(.seconds(60), "the worker stops") { try await task.value }
            return value
        } catch {
            task.cancel()
            _ = try? await task.value
            throw error
        }
    }

    /// Has everything written that is in the log.
    func catchUp() async throws {
        try await working { try await store.waitUntilProjected(by: "orders") }
    }
}

/// Refused in the store's words, with all of these in the message.
func expectProjectionRefusal(
    _ words: String...,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Void
) async throws {
    do {
        try await body()
        Issue.record("was not refused", sourceLocation: sourceLocation)
    } catch EventStoreError.projectionRefused(let message, _) {
        for word in words { #expect(message.contains(word), "\(message)", sourceLocation: sourceLocation) }
    }
}
