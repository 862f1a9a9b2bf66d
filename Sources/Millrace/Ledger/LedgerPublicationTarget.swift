import MillracePostgres

/// A place that checkpoints are published to.
public struct LedgerPublicationTarget: Sendable {
    /// What operators see it as; without secrets.
    public let name: String

    /// Tells the place of a checkpoint. It first says what it was told last to the closure, which throws where that must not be, and gives false where
    /// there is nothing new to tell.
    typealias Tell =
        @Sendable (
            _ checkpoint: LedgerCheckpoint,
            _ note: SignedNote,
            _ isContinued: (SignedNote) async throws -> Bool
        ) async throws -> Void

    private let telling: Tell
    private let closing: @Sendable () async -> Void

    init(name: String, closing: @escaping @Sendable () async -> Void = {}, telling: @escaping Tell) {
        self.name = name
        self.telling = telling
        self.closing = closing
    }

    /// A place that only takes: what it was told is not asked.
    /// - Parameter send: throws where it did not take it.
    public init(name: String, send: @escaping @Sendable (SignedNote) async throws -> Void) {
        self.init(name: name) { _, note, _ in try await send(note) }
    }

    func tell(
        _ checkpoint: LedgerCheckpoint,
        _ note: SignedNote,
        _ isContinued: (SignedNote) async throws -> Bool
    ) async throws {
        try await telling(checkpoint, note, isContinued)
    }

    func close() async { await closing() }
}

extension LedgerPublicationTarget {
    /// A file to which each checkpoint is appended: see ``LedgerCheckpointFile``.
    public static func file(_ path: String) -> LedgerPublicationTarget {
        LedgerPublicationTarget(name: "file:\(path)") { checkpoint, note, isContinued in
            var file = try LedgerCheckpointFile.Writing(path)
            defer { file.close() }
            if let last = try file.last(of: checkpoint.origin), try await !isContinued(last) { return }
            try file.append(note)
        }
    }

    private static let makeTable = PostgresStatement(utf8: PackageResources.make_checkpoint_table_sql, prepared: false)
    private static let lastKept = PostgresStatement(utf8: PackageResources.last_kept_checkpoint_sql)
    private static let keep = PostgresStatement(utf8: PackageResources.keep_checkpoint_sql)
    /// It is not used by two at a time.
    private static let connections = 1

    /// A table `millrace_checkpoints` of another database, which is made where it is missing.
    /// - Parameter name: shown instead of the connection string, which may have a password.
    public static func database(_ connectionString: String, name: String) -> LedgerPublicationTarget {
        var configuration = PostgresConfiguration(connectionString)
        configuration.maximumConnections = connections
        let client = PostgresClient(configuration)
        return LedgerPublicationTarget(name: name, closing: { await client.close() }) { checkpoint, note, isContinued in
            try await client.query(makeTable)
            let rows = try await client.query(lastKept, [.text(checkpoint.origin)])
            if let last = try rows.first.map({ try SignedNote(try $0.decode(String.self, at: 0)) }),
                try await !isContinued(last)
            {
                return
            }
            let parameters: [PostgresValue] = [
                .text(checkpoint.origin), .int8(Int64(checkpoint.size)), .int8(Int64(checkpoint.block)),
                .text("\(note)"),
            ]
            try await client.query(keep, parameters)
        }
    }
}
