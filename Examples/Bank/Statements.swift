import Millrace
import MillracePostgres

/// What the bank's customers look at: a balance for each account, and the lines that led to it.
enum Statements {
    static let name = "statements"

    static let projection = Projection(
        name,
        tables: """
            CREATE TABLE balances (
                account text PRIMARY KEY, owner text NOT NULL, cents bigint NOT NULL CHECK (cents >= 0), is_closed boolean NOT NULL
            );
            CREATE TABLE statement_lines (
                account text NOT NULL, line int NOT NULL, text text NOT NULL, cents bigint NOT NULL, balance bigint NOT NULL,
                PRIMARY KEY (account, line)
            )
            """,
        matching: .aggregateTypes(Account.aggregateType)
    ) { event, context in
        guard let happened = try AccountEvent.types.event(from: event) else { return }
        let account = PostgresValue.text(event.stream.aggregateID)
        switch happened {
        case .opened(let opened):
            try await context.transaction.query(
                "INSERT INTO balances VALUES ($1, $2, 0, false)",
                [account, .text(opened.owner)]
            )
        case .closed:
            try await context.transaction.query("UPDATE balances SET is_closed = true WHERE account = $1", [account])
        case .paidIn, .debited, .credited, .refunded:
            try await context.transaction.query(
                """
                WITH changed AS (
                    UPDATE balances SET cents = cents + $2 WHERE account = $1 RETURNING cents
                )
                INSERT INTO statement_lines SELECT $1, $3, $4, $2, changed.cents FROM changed
                """,
                [account, .int8(happened.cents), .int4(Int32(event.version)), .text(text(of: happened))]
            )
        }
    }

    /// The newest lines of an account, the newest first.
    static func lines(of account: String, limit: Int, in client: PostgresClient) async throws -> [String] {
        try await client.query(
            "SELECT text, cents, balance FROM statement_lines WHERE account = $1 ORDER BY line DESC LIMIT $2",
            [.text(account), .int4(Int32(limit))]
        ).map { row in
            let (text, cents) = (try row.decode(String.self, at: 0), try row.decode(Int64.self, at: 1))
            return "\(text): \(cents) cents, balance \(try row.decode(Int64.self, at: 2))"
        }
    }

    private static func text(of event: AccountEvent) -> String {
        switch event {
        case .paidIn: "paid in"
        case .debited(let event): "transfer \(event.transfer)"
        case .credited(let event): "from transfer \(event.transfer)"
        case .refunded(let event): "transfer \(event.transfer) given back"
        case .opened: "opened"
        case .closed: "closed"
        }
    }
}
