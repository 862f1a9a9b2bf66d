import Foundation
import Millrace
import MillracePostgres
import MillraceTesting
import Testing

/// A table with one row an order: what its events add up to.
enum Orders {
    static let table = "CREATE TABLE orders (id text PRIMARY KEY, events bigint NOT NULL, cents bigint NOT NULL)"

    struct Placed: TypedEvent {
        static let eventType = "order.placed"
        var cents: Int64 = 0
    }

    static func note(_ event: RecordedEvent, _ context: ProjectionContext, factor: Int64 = 1) async throws {
        try await context.transaction.query(
            """
            INSERT INTO orders VALUES ($1, 1, $2)
            ON CONFLICT (id) DO UPDATE SET events = orders.events + 1, cents = orders.cents + excluded.cents
            """,
            [.text(event.stream.aggregateID), .int8(try event.decode(Placed.self).cents * factor)]
        )
    }

    static func projection(version: Int = 1, mode: Projection.Mode = .behind, swapsByItself: Bool = true) -> Projection
    {
        Projection(
            "orders",
            version: version,
            tables: table,
            indexes: "CREATE INDEX orders_by_cents ON orders (cents)",
            mode: mode,
            matching: .aggregateTypes("order"),
            options: ProjectionOptions(lanes: 4, swapsByItself: swapsByItself)
        ) { event, context in
            try await note(event, context, factor: Int64(version))
        }
    }
}

@Suite("projections")
struct ProjectionTests {
    private func publish(_ store: EventStore, orders: Range<Int>, cents: Int64 = 100) async throws {
        for order in orders {
            try await store.append(Orders.Placed(cents: cents), to: StreamID("order", "\(order)"))
        }
    }

    /// One order after the other; answers where it has come.
    private func publishing(_ store: EventStore, from first: Int, until isEnough: EndSignal) async throws
        -> Int
    {
        var order = first
        while !isEnough.isGiven {
            try await publish(store, orders: order..<order + 1)
            order += 1
        }
        return order
    }

    private func number(_ store: EventStore, _ sql: String) async throws -> Int64 {
        try await store.client.query(PostgresStatement(sql, prepared: false)).single().decode(Int64.self, at: 0)
    }

    @Test("a projection is written behind the events, each once, and read under its own name")
    func behind() async throws {
        try await withStore { store in
            try await publish(store, orders: 0..<20)
            try await store.projecting([Orders.projection()]) {
                try await publish(store, orders: 10..<30)
                try await store.waitUntilProjected(by: "orders")
                #expect(try await number(store, "SELECT count(*) FROM orders") == 30)
                #expect(try await number(store, "SELECT sum(events)::bigint FROM orders") == 40)
                #expect(
                    try await number(store, "SELECT count(*) FROM pg_indexes WHERE indexname = 'orders_by_cents'") == 1
                )
            }
        }
    }

    @Test("a new version is built beside the one that is read, and takes its place")
    func newVersion() async throws {
        try await withStore { store in
            try await publish(store, orders: 0..<20)
            try await store.projecting([Orders.projection()]) { try await store.waitUntilProjected(by: "orders") }
            #expect(try await number(store, "SELECT sum(cents)::bigint FROM orders") == 2_000)

            let new = Orders.projection(version: 2, swapsByItself: false)
            try await store.register(new)
            try await store.projecting([new]) {
                try await eventually("it is built") {
                    try await number(
                        store,
                        "SELECT pending + (state <> 'building')::int FROM millrace.list_projections() WHERE version = 2"
                    ) == 0
                }
                #expect(try await number(store, "SELECT sum(cents)::bigint FROM orders") == 2_000)
                #expect(
                    try await store.client.query("SELECT millrace.swap_projection('orders', 2)").single().decode(
                        String?.self,
                        at: 0
                    ) == nil
                )
                #expect(try await number(store, "SELECT sum(cents)::bigint FROM orders") == 4_000)
                try await publish(store, orders: 20..<21)
                try await store.waitUntilProjected(by: "orders", version: 2)
                #expect(try await number(store, "SELECT sum(cents)::bigint FROM orders") == 4_200)
            }
        }
    }

    @Test(
        "one that swaps by itself serves when it is equal, while events go on to come; and the one before can come back"
    )
    func swapsByItself() async throws {
        try await withStore { store in
            let old = Orders.projection()
            let new = Orders.projection(version: 2)
            try await publish(store, orders: 0..<50)
            try await store.projecting([old]) { try await store.waitUntilProjected(by: "orders") }
            try await store.projecting([old, new]) {
                let isEnough = EndSignal()
                async let published = publishing(store, from: 50, until: isEnough)
                try await store.waitUntilProjected(by: "orders", version: 2)
                try await store.client.query("SELECT millrace.roll_back_projection('orders')")
                try await store.waitUntilProjected(by: "orders", version: 1)
                isEnough.give()
                let orders = Int64(try await published)
                try await store.waitUntilProjected(by: "orders")
                #expect(try await number(store, "SELECT sum(cents)::bigint FROM orders") == orders * 100)
                #expect(try await number(store, "SELECT sum(events)::bigint FROM orders") == orders)
            }
        }
    }

    @Test(
        "one comes up with the one that serves also where the lanes of that have all places of the worker, and events go on to come"
    )
    func findsAPlace() async throws {
        try await withStore { store in
            let old = Orders.projection()
            try await publish(store, orders: 0..<50)
            try await store.projecting([old]) { try await store.waitUntilProjected(by: "orders") }
            let narrow = WorkerOptions(lease: .milliseconds(600), beat: .milliseconds(50), lanesAtOnce: 1)
            try await store.projecting([old, Orders.projection(version: 2)], options: narrow) {
                let isEnough = EndSignal()
                async let published: Void = withThrowingTaskGroup(of: Void.self) { group in
                    for publisher in 1...4 {
                        group.addTask { _ = try await publishing(store, from: publisher * 100_000, until: isEnough) }
                    }
                    try await group.waitForAll()
                }
                defer { isEnough.give() }
                try await store.waitUntilProjected(by: "orders", version: 2, within: .seconds(60))
                isEnough.give()
                try await published
            }
        }
    }

    @Test("effects beside the tables are had once over all generations, and none for what was history")
    func effects() async throws {
        try await withStore { store in
            try await store.client.script("CREATE TABLE letters (number bigserial, position bigint, version int)")
            func projection(_ version: Int) -> Projection {
                Projection(
                    "orders",
                    version: version,
                    tables: Orders.table,
                    matching: .aggregateTypes("order"),
                    options: ProjectionOptions(lanes: 4)
                ) { event, context in
                    try await Orders.note(event, context)
                    try await context.unlessRebuilding(event) {
                        try await context.transaction.query(
                            "INSERT INTO public.letters (position, version) VALUES ($1, $2)",
                            [.int8(event.position.rawValue), .int4(Int32(version))]
                        )
                    }
                }
            }
            try await publish(store, orders: 0..<30)
            try await store.register(projection(1))
            try await store.projecting([projection(1), projection(2)]) {
                let isEnough = EndSignal()
                async let published = publishing(store, from: 30, until: isEnough)
                try await store.waitUntilProjected(by: "orders", version: 2)
                try await store.client.query("SELECT millrace.roll_back_projection('orders')")
                try await store.waitUntilProjected(by: "orders", version: 1)
                isEnough.give()
                let orders = Int64(try await published)
                try await store.waitUntilProjected(by: "orders")
                #expect(try await number(store, "SELECT count(*) FROM letters") == orders - 30)
                #expect(try await number(store, "SELECT count(DISTINCT position) FROM letters") == orders - 30)
                #expect(try await number(store, "SELECT count(DISTINCT version) FROM letters") == 2)
            }
        }
    }

    @Test("an event that cannot be written stops its stream only, and what it is missing from is not swapped")
    func poison() async throws {
        try await withStore { store in
            try await publish(store, orders: 0..<10)
            try await store.projecting([Orders.projection()]) { try await store.waitUntilProjected(by: "orders") }
            struct Refused: Error {}
            let failing = Projection(
                "orders",
                version: 2,
                tables: Orders.table,
                matching: .aggregateTypes("order"),
                options: ProjectionOptions(lanes: 4, retry: .never)
            ) { event, context in
                if event.stream.aggregateID == "3" { throw Refused() }
                try await Orders.note(event, context)
            }
            try await store.register(failing)
            try await store.projecting([failing]) {
                try await eventually("it is built but for one") {
                    try await number(
                        store,
                        """
                        SELECT abs((SELECT count(*) FROM orders_g2.orders) - 9) + abs(p.waiting_streams - 1)
                        FROM millrace.list_projections() AS p WHERE p.generation = 2
                        """
                    ) == 0
                }
                // Its own worker tries as well, and then somebody else is at it.
                try await eventually("it is refused for what is missing") {
                    try await store.client.query("SELECT millrace.swap_projection('orders', 2)").single()
                        .decode(String?.self, at: 0) == "1 of its streams waits for an event that failed"
                }
                #expect(try await number(store, "SELECT serving::bigint FROM millrace.projections") == 1)
            }
        }
    }

    @Test("stages read what those before have written of the same events")
    func stages() async throws {
        try await withStore { store in
            try await publish(store, orders: 0..<25, cents: 7)
            let projection = Projection(
                "orders",
                tables: Orders.table + "; CREATE TABLE totals (lane int PRIMARY KEY, cents bigint NOT NULL)",
                matching: .aggregateTypes("order"),
                options: ProjectionOptions(lanes: 1)
            ) { event, context in
                try await Orders.note(event, context)
            }.then { _, context in
                try await context.transaction.query(
                    """
                    INSERT INTO totals SELECT 0, sum(cents) FROM orders
                    ON CONFLICT (lane) DO UPDATE SET cents = excluded.cents
                    """
                )
            }
            try await store.projecting([projection]) {
                try await store.waitUntilProjected(by: "orders")
                #expect(try await number(store, "SELECT cents FROM totals") == 25 * 7)
            }
        }
    }

    @Test("rows come by COPY, NULLs and every type as they are")
    func copies() async throws {
        try await withStore { store in
            try await publish(store, orders: 0..<300)
            let projection = Projection(
                batches: "copied",
                tables:
                    "CREATE TABLE copied (id text, position bigint, at timestamptz, data jsonb, event uuid, n int, nothing text)",
                options: ProjectionOptions(lanes: 2)
            ) { events, context in
                var rows = PostgresCopyRows()
                for event in events {
                    rows.append([
                        .text(event.stream.aggregateID), .int8(event.position.rawValue), .timestamptz(event.createdAt),
                        .jsonb(event.data.utf8), .uuid(event.id), .int4(Int32(event.version)), .null,
                    ])
                }
                let columns = ["id", "position", "at", "data", "event", "n", "nothing"]
                try await context.copy(rows, into: "copied", columns: columns)
            }
            try await store.projecting([projection]) {
                try await store.waitUntilProjected(by: "copied")
                let equal = try await number(
                    store,
                    """
                    SELECT count(*) FROM copied AS c
                    JOIN millrace.events AS e ON e.id = c.position AND e.aggregate_id = c.id AND e.event_data = c.data
                        AND e.event_id = c.event AND e.version = c.n AND c.nothing IS NULL
                        AND abs(extract(epoch FROM e.created_at - c.at)) < 0.001
                    """
                )
                #expect(equal == 300)
            }
        }
    }

    @Test("its handler is not reset, replayed or removed: that would write the read model twice")
    func handlerIsKept() async throws {
        try await withStore { store in
            try await store.register(Orders.projection())
            for statement in [
                "SELECT FROM millrace.reset_handler('orders@1', 0)", "SELECT millrace.remove_handler('orders@1')",
                "SELECT FROM millrace.request_replay('orders@1', 1, NULL)",
            ] {
                let error = try await #require(throws: PostgresError.self) {
                    try await store.client.query(PostgresStatement(statement, prepared: false))
                }
                #expect(error.sqlState == "MR026", "\(statement): \(error)")
            }
        }
    }

    @Test(
        "an inline projection is read in the transaction that appends; where it fails, nothing of the append is stored"
    )
    func inline() async throws {
        try await withStore { plain in
            let projection = Orders.projection(mode: .inline)
            let store = EventStore(plain.client, projecting: [projection])
            try await store.register(projection)
            let order = StreamID("order", "1")
            try await store.append(Orders.Placed(cents: 5), to: order)
            #expect(try await number(store, "SELECT cents FROM orders") == 5)

            try await store.withTransaction { transaction in
                try await store.append(Orders.Placed(cents: 6), to: order, in: transaction)
                let cents = try await transaction.query("SELECT cents FROM orders").single().decode(Int64.self, at: 0)
                #expect(cents == 11)
                // What cannot be decoded cannot be projected; the caller goes on without it.
                let unreadable = NewEvent(type: "order.placed", data: JSON(#"{"cents": "many"}"#))
                await #expect(throws: DecodingError.self) {
                    try await store.append([unreadable], to: order, in: transaction)
                }
                let path = try await transaction.query("SELECT current_setting('search_path')").single()
                    .decode(String.self, at: 0)
                #expect(!path.contains("orders_g1"))
                try await store.append(
                    [NewEvent(type: "other", data: .emptyObject)],
                    to: StreamID("other", "1"),
                    in: transaction
                )
            }
            #expect(try await number(store, "SELECT cents FROM orders") == 11)
            #expect(try await number(store, "SELECT count(*) FROM millrace.events") == 3)
        }
    }

    @Test("the same append again projects nothing twice; one that leaves an inline projection out is refused")
    func inlineOnce() async throws {
        try await withStore { plain in
            let projection = Orders.projection(mode: .inline)
            let store = EventStore(plain.client, projecting: [projection])
            try await store.register(projection)
            let event = try NewEvent(Orders.Placed(cents: 5))
            for _ in 0..<3 { try await store.append([event], to: StreamID("order", "1")) }
            #expect(try await number(store, "SELECT events FROM orders") == 1)
            for stranger in [plain, EventStore(plain.client, projecting: [])] {
                let error = await #expect(throws: EventStoreError.self) {
                    try await stranger.append(Orders.Placed(cents: 7), to: StreamID("order", "1"))
                }
                guard case .projectionRefused = error else {
                    Issue.record("\(String(describing: error))")
                    continue
                }
            }
            try await plain.append([NewEvent(type: "other", data: .emptyObject)], to: StreamID("other", "1"))
            #expect(try await number(store, "SELECT cents FROM orders") == 5)
        }
    }

    @Test(
        "an inline projection in a new version is built by a worker while both are in the stores, and written inline then"
    )
    func inlineRebuild() async throws {
        try await withStore(connections: 16) { plain in
            let (old, new) = (Orders.projection(mode: .inline), Orders.projection(version: 2, mode: .inline))
            let first = EventStore(plain.client, projecting: [old])
            try await first.register(old)
            try await publish(first, orders: 0..<20)
            let both = EventStore(plain.client, projecting: [old, new])
            try await both.projecting([]) {
                let isEnough = EndSignal()
                async let published = publishing(both, from: 20, until: isEnough)
                try await eventually("the second version serves") {
                    try await number(plain, "SELECT serving::bigint FROM millrace.projections") == 2
                }
                isEnough.give()
                let orders = Int64(try await published)
                #expect(try await number(plain, "SELECT sum(cents)::bigint FROM orders") == orders * 200)
                try await publish(both, orders: 0..<1)
                #expect(try await number(plain, "SELECT events FROM orders WHERE id = '0'") == 2)
            }
        }
    }
}
