import Millrace
import MillracePostgres

/// A row for each order, and of those the revenue of each day.
enum OrderSummary {
    static let name = "order_summary"

    private static let tables = """
        CREATE TABLE order_summary (id text PRIMARY KEY, status text NOT NULL, cents bigint NOT NULL, paid_on date);
        CREATE TABLE revenue (day date PRIMARY KEY, cents bigint NOT NULL)
        """

    static func projection(_ reading: @escaping OrderRow.Reading) -> Projection {
        Projection(name, tables: tables, matching: .aggregateTypes(Order.aggregateType)) { event, context in
            try await write(event, try reading(event), context.transaction)
        }.then { events, context in
            try await addRevenue(of: events, reading, context.transaction)
        }
    }

    /// The second version says whose the order is, too. It is built from the whole log while the first one is read.
    static func withCustomers(_ reading: @escaping OrderRow.Reading) -> Projection {
        Projection(
            name,
            version: 2,
            tables: tables + "; ALTER TABLE order_summary ADD COLUMN customer text",
            indexes: "CREATE INDEX order_summary_by_customer ON order_summary (customer)",
            matching: .aggregateTypes(Order.aggregateType)
        ) { event, context in
            let row = try reading(event)
            try await write(event, row, context.transaction)
            guard let customer = row?.customer else { return }
            try await context.transaction.query(
                "UPDATE order_summary SET customer = $2 WHERE id = $1",
                [.text(event.stream.aggregateID), .text(customer)]
            )
        }.then { events, context in
            try await addRevenue(of: events, reading, context.transaction)
        }
    }

    /// Of the version that is read under the names of its tables; nil where none is yet.
    static func servedVersion(in client: PostgresClient) async throws -> Int? {
        try await client.query(
            "SELECT version FROM millrace.list_projections($1) WHERE state = 'serving'",
            [.text(name)]
        ).first.map { Int(try $0.decode(Int32.self, at: 0)) }
    }

    private static func write(_ event: RecordedEvent, _ row: OrderRow?, _ transaction: PostgresTransaction) async throws
    {
        guard let row else { return }
        let id = PostgresValue.text(event.stream.aggregateID)
        if let cents = row.cents {
            try await transaction.query(
                "INSERT INTO order_summary (id, status, cents) VALUES ($1, $2, $3)",
                [id, .text(row.status.rawValue), .int8(cents)]
            )
        } else {
            try await transaction.query(
                """
                UPDATE order_summary SET status = $2, paid_on = coalesce(paid_on, CASE WHEN $3 THEN ($4 AT TIME ZONE 'UTC')::date END)
                WHERE id = $1
                """,
                [id, .text(row.status.rawValue), .bool(row.isPayment), .timestamptz(event.occurredAt)]
            )
        }
    }

    /// What was paid by the rows of the stage before; an order that is canceled after its payment takes the money with it.
    private static func addRevenue(
        of events: [RecordedEvent],
        _ reading: OrderRow.Reading,
        _ transaction: PostgresTransaction
    ) async throws {
        let rows = try events.compactMap { event in
            try reading(event).map { (id: event.stream.aggregateID, row: $0) }
        }
        let paid = rows.filter(\.row.isPayment)
        let canceled = rows.filter { $0.row.status == .canceled }
        guard !paid.isEmpty || !canceled.isEmpty else { return }
        try await transaction.query(
            """
            INSERT INTO revenue
            SELECT o.paid_on, sum((o.id = ANY ($1))::int * o.cents - (o.id = ANY ($2))::int * o.cents)::bigint
            FROM order_summary AS o
            WHERE o.id = ANY ($1 || $2) AND o.paid_on IS NOT NULL
            GROUP BY o.paid_on ORDER BY o.paid_on
            ON CONFLICT (day) DO UPDATE SET cents = revenue.cents + excluded.cents
            """,
            [.textArray(paid.map(\.id)), .textArray(canceled.map(\.id))]
        )
    }
}
