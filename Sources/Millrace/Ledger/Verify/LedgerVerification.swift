import MillracePostgres

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// Everything of a ledger that can be computed, computed anew and compared: the leaves with the events, the tree with the blocks, the chains along their
/// streams, and published checkpoints with the tree.
///
///     let report = try await LedgerVerification(store, trusting: keyring, published: notes).run()
///     for finding in report.findings.kept { print(finding) }
///
/// Others may append and seal meanwhile: the blocks that are there at the beginning are verified. What is not sealed is not proven; of it only the
/// versions of its streams are looked at. Nothing is written, and the tables are read themselves, in looks of some 16,000 events.
public struct LedgerVerification: Sendable {
    /// Findings that are kept, unless said otherwise; all are counted.
    public static let findingLimit = 10_000
    public static let workerLimit = 64
    /// How often the state is given away to be kept.
    public static let longestUnkept = Duration.seconds(3)

    /// Where to begin: with the block that holds it.
    public enum Since: Sendable, Hashable {
        case position(Position)
        case time(Date)
    }

    /// How far it is.
    public struct Progress: Sendable, Hashable {
        public enum Phase: String, Sendable, Hashable {
            case blocks, chains
        }

        public let phase: Phase
        /// Sealed events that were compared, or in the second phase events of chains.
        public let events: Int
        /// Sealed events in all; nil where they are not counted.
        public let total: Int?
        public let findings: Int
    }

    let store: EventStore
    let keyring: LedgerKeyring?
    let published: [SignedNote]
    let since: Since?
    let workers: Int
    let findingLimit: Int
    /// Ends with the block that holds it; nil: with the last one.
    var through: Position?
    var stateInterval = LedgerVerification.longestUnkept

    /// - Parameters:
    ///   - store: its client's role is a member of `millrace_consumer`, and needs a connection for each worker.
    ///   - keyring: whom to trust; nil: the first key in the database, which is to trust the database.
    ///   - published: checkpoints that were kept elsewhere.
    ///   - workers: compare events at the same time; from 1 to ``workerLimit``.
    public init(
        _ store: EventStore,
        trusting keyring: LedgerKeyring?,
        published: [SignedNote] = [],
        since: Since? = nil,
        workers: Int = 2,
        findingLimit: Int = LedgerVerification.findingLimit
    ) {
        self.store = store
        self.keyring = keyring
        self.published = published
        self.since = since
        self.workers = min(max(workers, 1), LedgerVerification.workerLimit)
        self.findingLimit = max(findingLimit, 1)
    }

    /// Verifies. Costs some two round trips for each 4,096 events, and as many for those with hashes.
    /// - Parameters:
    ///   - state: goes on from there, what was found included.
    ///   - look: is told how far it is.
    ///   - keep: is given the state every ``longestUnkept``, and once more where this is cancelled.
    /// - Throws: ``LedgerVerificationError``, ``EventStoreError``; `CancellationError`, when `keep` was called.
    public func run(
        from state: LedgerVerificationState? = nil,
        look: (Progress) throws -> Void = { _ in },
        keep: (LedgerVerificationState) throws -> Void = { _ in }
    ) async throws -> LedgerVerificationReport {
        let run = try await LedgerVerificationRun(self, from: state)
        do {
            try await run.blocks(look, keep)
            try await run.chains(look, keep)
            return try await run.finish()
        } catch {
            if Task.isCancelled { try keep(run.settled) }
            throw Task.isCancelled ? CancellationError() : error
        }
    }
}

/// What came of a verification.
public struct LedgerVerificationReport: Sendable {
    public let origin: String
    /// Blocks that were verified, from the first of them to the last.
    public let blocks: Int
    public let firstBlock: Int
    public let lastBlock: Int
    /// Sealed events that were compared.
    public let events: Int
    /// Events of chains.
    public let chainedEvents: Int
    /// Published checkpoints that were compared.
    public let published: Int
    /// Whether the trusted key came from the database itself.
    public let trustsDatabase: Bool
    public let findings: LedgerFindings

    public var isClean: Bool { findings.count == 0 }
}
