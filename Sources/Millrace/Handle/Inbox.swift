public import MillracePostgres

/// Remembers which messages have had their effect, for a receiver whose effects are in this PostgreSQL while the checkpoint of
/// whoever sends them is elsewhere: another database's handler, a webhook, a broker.
///
///     let inbox = Inbox("payments")
///     try await client.withTransaction { transaction in
///         guard try await inbox.receives(key, in: transaction) else { return }
///         try await transaction.query("INSERT INTO payments …")
///     }
///
/// The key is a handler's ``HandlerContext/idempotencyKey``, or whatever else the sender gives each message once. The effect and the
/// memory of it are one transaction: together they happen exactly once, however often the message comes.
public struct Inbox: Sendable {
    /// Keys are compared within it.
    public let receiver: String

    public init(_ receiver: String) {
        self.receiver = receiver
    }

    private static let receive: PostgresStatement = "SELECT millrace.receive_once($1, $2)"

    /// Whether the message comes for the first time: then have the effect in the same transaction. One round trip; another transaction that is
    /// having the effect of the same message is waited for.
    public func receives(_ key: String, in transaction: PostgresTransaction) async throws -> Bool {
        try await EventStoreError.translating {
            try await transaction.query(Inbox.receive, [.text(receiver), .text(key)])[0].decode(Bool.self, at: 0)
        }
    }
}
