import Millrace
import MillracePostgres

/// What an event asks of its handlers.
struct Chore: Decodable {
    /// So many attempts fail.
    var failures: Int?
    /// Fails until `chaos.mended` says otherwise.
    var isHopeless: Bool?
    /// Waits in the middle of its transaction for a lock that the test holds.
    var waits: Bool?
    /// The handler `each` answers it with an event of its own.
    var echoes: Bool?

    private struct Refused: Error {}

    private static let note: PostgresStatement = """
        INSERT INTO chaos.effects (handler, position, event_id, stream, version, lane, attempt, worker)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """
    private static let divide: PostgresStatement = "SELECT 1 / 0"
    private static let isMended: PostgresStatement = "SELECT count(*) > 0 FROM chaos.mended"
    private static let wait: PostgresStatement = "SELECT pg_advisory_xact_lock_shared(4711)"

    /// Has the effect first, so that a failure has something to undo.
    static func handle(_ event: RecordedEvent, _ context: HandlerContext, worker: String) async throws
        -> HandlerOutcome
    {
        let chore = try event.decode(Chore.self)
        try await context.transaction.query(
            note,
            [
                .text(context.handler), .int8(event.position.rawValue), .uuid(event.id), .text("\(event.stream)"),
                .int4(Int32(event.version)), .int4(Int32(context.lane)), .int4(Int32(context.attempt)), .text(worker),
            ]
        )
        if chore.waits == true { try await context.transaction.query(wait) }
        if chore.isHopeless == true {
            let isMended = try await context.transaction.query(isMended)[0].decode(Bool.self, at: 0)
            if !isMended { throw Refused() }
        }
        if context.attempt <= chore.failures ?? 0 { return try await fail(event, context) }
        if chore.echoes == true, context.handler == "each" {
            try await context.append(
                [NewEvent(type: "chaos.echo", data: .emptyObject)],
                to: StreamID("echo", event.stream.aggregateID)
            )
        }
        return .done
    }

    /// In every way that there is.
    private static func fail(_ event: RecordedEvent, _ context: HandlerContext) async throws -> HandlerOutcome {
        switch (event.version + context.attempt) % 4 {
        case 0: throw Refused()
        case 1: return .retry(because: "not yet")
        case 2: try await context.transaction.query(divide)
        default: _ = try? await context.transaction.query(divide)
        }
        return .done
    }
}
