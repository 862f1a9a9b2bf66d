import MillracePostgres

/// How the handling of an event ended. The closed set.
public enum HandlerOutcome: Sendable, Hashable {
    /// Handled: what was written through the context's transaction is stored together with the checkpoint that passes the event.
    case done
    /// Not now: what was written is undone, and the event is handled again after the wait, or the policy's where there is none.
    /// Its stream waits behind it, all others go on. The policy's last attempt parks it.
    case retry(after: Duration? = nil, because: String)
    /// Not without help: undone, and set aside at once, with what follows in its stream.
    case park(because: String)
    /// Nothing can be handled as things are: undone, and the handler stops, everywhere, before this event, until it is resumed.
    case stop(because: String)
}

/// What the outcome `retry` and a thrown error have in common.
struct HandlerFailure: Sendable {
    enum Consequence: Sendable, Hashable {
        /// nil: by the policy.
        case retry(after: Duration?)
        case park
        case stop
    }

    /// An error's text is kept up to here.
    static let longestMessage = 2_000

    let message: String
    /// What rules of a policy and operators tell errors apart by: an SQLSTATE, or the name of a Swift type.
    let kind: String
    let consequence: Consequence
    /// nil where the handler said so itself.
    let error: (any Error)?

    init(message: String, kind: String, consequence: Consequence, error: (any Error)? = nil) {
        // PostgreSQL's text holds everything but NUL.
        self.message = String(message.prefix(HandlerFailure.longestMessage)).replacing("\0", with: "\u{FFFD}")
        self.kind = kind
        self.consequence = consequence
        self.error = error
    }

    init(_ error: any Error) {
        let kind =
            switch error {
            case PostgresError.server(let server), EventStoreError.postgres(.server(let server)):
                "SQLSTATE \(server.sqlState)"
            default: String(describing: type(of: error))
            }
        self.init(message: "\(error)", kind: kind, consequence: .retry(after: nil), error: error)
    }

    /// nil where it was done.
    init?(_ outcome: HandlerOutcome) {
        switch outcome {
        case .done: return nil
        case .retry(let wait, let reason):
            self.init(message: reason, kind: "retry", consequence: .retry(after: wait))
        case .park(let reason): self.init(message: reason, kind: "park", consequence: .park)
        case .stop(let reason): self.init(message: reason, kind: "stop", consequence: .stop)
        }
    }
}
