import Logging
import Millrace
import MillracePostgres
import Testing

private let quiet = {
    var logger = Logger(label: "millrace.tests")
    logger.logLevel = .critical
    return logger
}()

/// A table of effects beside the log, and workers that write to it.
struct Handling: Sendable {
    let store: EventStore

    /// What a handler did, in the order of its doing.
    struct Effect: Sendable, Hashable {
        let handler: String
        let position: Int64
        let stream: String
        let version: Int
    }

    /// Quick to notice, so that tests are.
    static let options = WorkerOptions(lease: .milliseconds(600), beat: .milliseconds(50))

    init(_ store: EventStore) async throws {
        self.store = store
        try await store.client.script(
            """
            CREATE TABLE effects (
                number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, handler text NOT NULL, position bigint NOT NULL,
                stream text NOT NULL, version int NOT NULL, UNIQUE (handler, position) DEFERRABLE INITIALLY IMMEDIATE
            )
            """
        )
    }

    /// Writes down that an event was handled. The unique constraint would refuse a second time.
    static func note(_ event: RecordedEvent, _ context: HandlerContext) async throws {
        try await context.transaction.query(
            "INSERT INTO effects (handler, position, stream, version) VALUES ($1, $2, $3, $4)",
            [
                .text(context.handler), .int8(event.position.rawValue), .text("\(event.stream)"),
                .int4(Int32(event.version)),
            ]
        )
    }

    func effects(of handler: String) async throws -> [Effect] {
        try await store.client.query(
            "SELECT handler, position, stream, version FROM effects WHERE handler = $1 ORDER BY number",
            [.text(handler)]
        ).map { row in
            Effect(
                handler: try row.decode(String.self, at: 0),
                position: try row.decode(Int64.self, at: 1),
                stream: try row.decode(String.self, at: 2),
                version: Int(try row.decode(Int32.self, at: 3))
            )
        }
    }

    /// Runs a worker for as long as the body takes, and stops it in order.
    func working(
        _ handlers: [Handler],
        options: WorkerOptions = Handling.options,
        _ body: (HandlerWorker) async throws -> Void
    ) async throws {
        let worker = HandlerWorker(store, handlers: handlers, options: options, logger: quiet)
        let task = Task { try await worker.run() }
        do {
            try await body(worker)
        } catch {
            worker.stop()
            _ = await task.result
            throw error
        }
        worker.stop()
        try await within(.seconds(60), "the worker stops") { try await task.value }
    }

    /// Returns when everything in the log is handled by the handler, or parked.
    func isDone(_ handler: String) async throws {
        try await eventually("\(handler) has handled everything") {
            let rows = try await store.client.query(
                """
                SELECT sum(s.pending_events) - coalesce((SELECT sum(p.waiting) FROM millrace.parked_events AS p
                    WHERE p.handler_id = $1 AND p.status = 'parked'), 0) = 0
                FROM millrace.event_processing_stats AS s WHERE s.handler_id = $1
                """,
                [.text(handler)]
            )
            return try rows.first?.decode(Bool?.self, at: 0) ?? false
        }
    }

    /// Rows as text, for the bookkeeping that has no Swift type.
    func texts(_ sql: String) async throws -> [String] {
        try await store.client.query(PostgresStatement(sql, prepared: false)).map { try $0.decode(String.self, at: 0) }
    }

    /// So many streams, each with so many events, in turns.
    func publish(streams: Int, events: Int, type: String = "t") async throws {
        for _ in 0..<events {
            var request = AppendRequest()
            for stream in 0..<streams {
                request.append([NewEvent(type: type, data: .emptyObject)], to: StreamID("s", "\(stream)"))
            }
            try await store.append(request)
        }
    }
}

/// Each stream's versions, in the order of the effects, are 1, 2, 3 … without a gap.
func expectStreamOrder(_ effects: [Handling.Effect], streams: Int, events: Int) {
    let byStream = Dictionary(grouping: effects, by: \.stream)
    #expect(byStream.count == streams)
    for (stream, effects) in byStream {
        #expect(effects.map(\.version) == Array(1...events), "\(stream)")
    }
}
