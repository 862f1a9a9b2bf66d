import Foundation
import Millrace
import MillracePostgres
import MillraceTesting
import Testing

/// What an order's events add up to is the same however it is arrived at: in SQL, in Swift with snapshots and without, in a projection that is
/// written with the appends and in one that is written behind them.
@Suite(.timeLimit(.minutes(15)))
struct StatesAgreeTests {
    private static let orders = 8_135

    @Test(.enabled(if: RealData.isThere, "there is no folder ../shared/data beside the package"))
    func ofAllRealOrders() async throws {
        try await withStore(connections: 12) { plain in
            let inline = OrderSummaries.projection("inline_orders", mode: .inline)
            let behind = OrderSummaries.projection("behind_orders", mode: .behind)
            let store = EventStore(plain.client, projecting: [inline])
            try await store.register(inline)
            try await plain.client.script(OrderSummaries.reducer)

            let lines = try await RealData.lines(of: "olist-orders")
            for start in stride(from: 0, to: lines.count, by: 500) {
                var request = AppendRequest()
                for line in lines[start..<min(start + 500, lines.count)] {
                    let event = NewEvent(type: line.type, data: JSON(utf8: line.data), occurredAt: line.occurredAt)
                    request.append([event], to: line.stream)
                }
                try await store.append(request)
            }
            try await plain.projecting([behind]) { try await plain.waitUntilProjected(by: "behind_orders") }

            let rebuilt = try await Self.states(
                plain,
                "SELECT s.aggregate_id, millrace.rebuild_aggregate('order', s.aggregate_id)::text FROM millrace.streams AS s"
            )
            #expect(rebuilt.count == Self.orders)
            let loaded = try await Self.loaded(plain.aggregate(OrderSummaries()), rebuilt.keys)
            let snapshots = plain.aggregate(OrderSummaries(), snapshots: .every(3, shape: 1))
            #expect(try await Self.loaded(snapshots, rebuilt.keys) == loaded)
            let fromSnapshots = try await Self.loaded(snapshots, rebuilt.keys)
            let taken = try await plain.client.query("SELECT count(*) FROM millrace.snapshots").single().decode(
                Int64.self,
                at: 0
            )
            let inlined = try await Self.states(plain, OrderSummaries.select("inline_orders"))
            let followed = try await Self.states(plain, OrderSummaries.select("behind_orders"))
            print(
                """
                StatesAgree: \(rebuilt.count) in SQL, \(loaded.count) in Swift, \(fromSnapshots.count) with \(taken) snapshots, \
                \(inlined.count) inline, \(followed.count) behind
                """
            )
            #expect(loaded == rebuilt)
            #expect(fromSnapshots == rebuilt)
            #expect(inlined == rebuilt)
            #expect(followed == rebuilt)
            #expect(taken > 7_000)
        }
    }

    private static func states(_ store: EventStore, _ sql: String) async throws -> [String: OrderSummary] {
        var states: [String: OrderSummary] = [:]
        for row in try await store.client.query(PostgresStatement(sql, prepared: false)) {
            let (id, state) = try row.decode(String.self, String.self)
            states[id] = try JSON(state).decode(OrderSummary.self)
        }
        return states
    }

    private static func loaded(
        _ aggregate: Aggregate<OrderSummaries>,
        _ ids: some Collection<String>
    ) async throws -> [String: OrderSummary] {
        var states: [String: OrderSummary] = [:]
        for id in ids { states[id] = try await aggregate.load(id).state }
        return states
    }
}

/// What is known of an order at a glance.
struct OrderSummary: Codable, Hashable {
    var events = 0
    var payments = 0
    var status: String?
    var score: Int?
}

/// The same summary as a decider, as a reducer in SQL and as a projection.
struct OrderSummaries: Decider {
    static let aggregateType = "order"
    var initialState: OrderSummary { OrderSummary() }

    func decide(_ command: Never, _ state: OrderSummary) throws -> [OrderEvent] {}

    func evolve(_ state: inout OrderSummary, _ event: OrderEvent) {
        state.events += 1
        switch event {
        case .status(let status): state.status = status
        case .paid: state.payments += 1
        case .reserved: break
        case .reviewed(let review): state.score = review.score
        }
    }

    static let reducer = """
        CREATE FUNCTION public.summarise(state jsonb, event millrace.events) RETURNS jsonb LANGUAGE sql AS $$
            SELECT s.state || jsonb_build_object('events', (s.state ->> 'events')::int + 1) || CASE split_part(event.event_type, '.', 1)
                WHEN 'payment' THEN jsonb_build_object('payments', (s.state ->> 'payments')::int + 1)
                WHEN 'order' THEN jsonb_build_object('status', split_part(event.event_type, '.', 2))
                WHEN 'review' THEN jsonb_build_object('score', event.event_data -> 'score')
                ELSE '{}'
            END
            FROM (SELECT coalesce(state, '{"events": 0, "payments": 0}') AS state) AS s
        $$;
        SELECT millrace.register_reducer('order', 'public.summarise');
        """

    static func select(_ table: String) -> String {
        "SELECT id, jsonb_build_object('events', events, 'payments', payments, 'status', status, 'score', score)::text FROM \(table)"
    }

    static func projection(_ name: String, mode: Projection.Mode) -> Projection {
        Projection(
            name,
            tables:
                "CREATE TABLE \(name) (id text PRIMARY KEY, events int NOT NULL, payments int NOT NULL, status text, score int)",
            mode: mode,
            matching: .aggregateTypes("order")
        ) { event, context in
            let parts = event.type.split(separator: ".")
            let score = parts[0] == "review" ? try event.decode(Reviewed.self).score : nil
            try await context.transaction.query(
                PostgresStatement(
                    """
                    INSERT INTO \(name) AS o VALUES ($1, 1, $2, $3, $4)
                    ON CONFLICT (id) DO UPDATE SET events = o.events + 1, payments = o.payments + excluded.payments,
                        status = coalesce(excluded.status, o.status), score = coalesce(excluded.score, o.score)
                    """
                ),
                [
                    .text(event.stream.aggregateID), .int4(parts[0] == "payment" ? 1 : 0),
                    .text(parts[0] == "order" ? String(parts[1]) : nil), .int4(score.map { Int32($0) }),
                ]
            )
        }
    }
}

enum OrderEvent: DomainEvent {
    case status(String)
    case paid(Paid)
    case reserved(Reserved)
    case reviewed(Reviewed)

    static let types = EventTypes<OrderEvent>()
        .on(Created.self) { _ in .status("created") }
        .on(Approved.self) { _ in .status("approved") }
        .on(Shipped.self) { _ in .status("shipped") }
        .on(Delivered.self) { _ in .status("delivered") }
        .on(Canceled.self) { _ in .status("canceled") }
        .on(Unavailable.self) { _ in .status("unavailable") }
        .on(Paid.self, OrderEvent.paid)
        .on(Reserved.self, OrderEvent.reserved)
        .on(Reviewed.self, OrderEvent.reviewed)

    var payload: any TypedEvent {
        switch self {
        case .status(let status): fatalError("“\(status)” is only read")
        case .paid(let event): event
        case .reserved(let event): event
        case .reviewed(let event): event
        }
    }
}

struct Created: TypedEvent { static let eventType = "order.created" }
struct Approved: TypedEvent { static let eventType = "order.approved" }
struct Shipped: TypedEvent { static let eventType = "order.shipped" }
struct Delivered: TypedEvent { static let eventType = "order.delivered" }
struct Canceled: TypedEvent { static let eventType = "order.canceled" }
struct Unavailable: TypedEvent { static let eventType = "order.unavailable" }
struct Paid: TypedEvent { static let eventType = "payment.completed" }
struct Reserved: TypedEvent { static let eventType = "inventory.reserved" }
struct Reviewed: TypedEvent {
    static let eventType = "review.submitted"
    var score: Int?
}
