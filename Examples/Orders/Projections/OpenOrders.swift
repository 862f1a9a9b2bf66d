import Millrace
import MillracePostgres

/// The orders that somebody has to do something about, written in the transaction of the command: whoever has given one reads what it did.
enum OpenOrders {
    static let name = "open_orders"

    static func projection(_ reading: @escaping OrderRow.Reading) -> Projection {
        Projection(
            name,
            tables: "CREATE TABLE open_orders (id text PRIMARY KEY, status text NOT NULL)",
            mode: .inline,
            matching: .aggregateTypes(Order.aggregateType)
        ) { event, context in
            guard let row = try reading(event) else { return }
            let id = PostgresValue.text(event.stream.aggregateID)
            guard row.status.isOpen else {
                try await context.transaction.query("DELETE FROM open_orders WHERE id = $1", [id])
                return
            }
            try await context.transaction.query(
                "INSERT INTO open_orders VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET status = excluded.status",
                [id, .text(row.status.rawValue)]
            )
        }
    }

    /// nil where it is not open.
    static func status(of id: String, in client: PostgresClient) async throws -> OrderStatus? {
        try await client.query("SELECT status FROM open_orders WHERE id = $1", [.text(id)]).first
            .map { try OrderStatus(stored: $0.decode(String.self, at: 0)) }
    }

    static func all(in client: PostgresClient) async throws -> [(id: String, status: OrderStatus)] {
        try await client.query("SELECT id, status FROM open_orders ORDER BY id").map { row in
            (try row.decode(String.self, at: 0), try OrderStatus(stored: row.decode(String.self, at: 1)))
        }
    }
}
