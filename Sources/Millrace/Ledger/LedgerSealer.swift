public import Logging
import MillracePostgres
public import ServiceLifecycle

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Seals what was stored, block after block, as often as the ledger's seal interval says. Any number of them may run: one seals at a time, and
/// one that is killed leaves nothing behind that the next would stumble over.
///
/// A block is one transaction. It never reaches beyond the horizon, so no event can appear later among those that are sealed.
public struct LedgerSealer: Service {
    /// Of one block. Where there are more, the next block follows at once.
    public static let eventsPerBlock = 65_536
    /// How often a store is looked at that keeps no ledger, and a key that is not there.
    public static let idleInterval = Duration.seconds(60)
    /// Of what is read at once.
    private static let page = PageLimits(events: 4096, bytes: 4 << 20)
    /// Rows of leaves that go to the database in one round trip, some 60 KiB each.
    private static let runsAtOnce = 16
    /// Between two looks while another one seals.
    private static let busyWait = Duration.milliseconds(20)
    private static let backoff = PostgresBackoff(initial: .milliseconds(100), maximum: .seconds(30))

    private let store: EventStore
    private let key: @Sendable () throws -> LedgerSigningKey?
    private let publisher: LedgerPublisher?
    private let logger: Logger

    /// - Parameters:
    ///   - store: its client's role is a member of `millrace_admin`, or the owner.
    ///   - key: the ledger's newest; with another one nothing is sealed.
    ///   - publisher: is told of each new checkpoint.
    public init(
        _ store: EventStore,
        key: LedgerSigningKey,
        publisher: LedgerPublisher? = nil,
        logger: Logger = Logger(label: "millrace.ledger")
    ) {
        self.init(store, readingKey: { key }, publisher: publisher, logger: logger)
    }

    /// - Parameter key: read before the first block, and again after a failure: so a key that was rotated needs no new start. nil: there is none yet.
    public init(
        _ store: EventStore,
        readingKey key: @escaping @Sendable () throws -> LedgerSigningKey?,
        publisher: LedgerPublisher? = nil,
        logger: Logger = Logger(label: "millrace.ledger")
    ) {
        self.store = store
        self.key = key
        self.publisher = publisher
        self.logger = logger
    }

    /// Seals until its task is cancelled or it is shut down gracefully; the block under way is finished then. Failures are logged, and it tries
    /// again. Where the store keeps no ledger, or there is no key, it looks once a minute.
    public func run() async throws {
        var tail: SealedTail?
        var failures = 0
        while !Task.isCancelled {
            do {
                guard let key = try key(), try await store.ledger.isKept() else {
                    guard await LedgerSealer.slept(LedgerSealer.idleInterval) else { return }
                    continue
                }
                while !Task.isCancelled {
                    let began = ContinuousClock.now
                    let round = try await round(after: tail, with: key)
                    failures = 0
                    if let known = round.tail { tail = known }
                    publisher?.announce(block: round.block)
                    if round.isFull { continue }
                    guard await LedgerSealer.slept(round.interval - (ContinuousClock.now - began)) else { return }
                }
            } catch {
                if Task.isCancelled { return }
                failures += 1
                logger.error("nothing was sealed", metadata: ["error": "\(error)", "failures": "\(failures)"])
                guard await LedgerSealer.slept(LedgerSealer.backoff.delay(afterFailure: failures)) else { return }
            }
        }
    }

    /// False where it is to end instead.
    private static func slept(_ wait: Duration) async -> Bool {
        do {
            try await cancelWhenGracefulShutdown { try await Task.sleep(for: max(wait, .zero)) }
            return true
        } catch { return false }
    }

    /// What was sealed by one call.
    public struct Sealed: Sendable, Hashable {
        public var blocks = 0
        public var events = 0
        /// Of the last block in the end, whoever sealed it; 0 where there is none.
        public var block = 0
    }

    /// Seals until nothing is left below the horizon; while another one seals, waits for that. A block costs some round trips and one for
    /// each 4,096 events.
    /// - Throws: ``LedgerSealingError``, ``LedgerError``, ``EventStoreError``.
    public func sealAll() async throws -> Sealed {
        guard let key = try key() else { throw LedgerError.noBlock("signing key to seal with") }
        var sealed = Sealed()
        var tail: SealedTail?
        while true {
            try Task.checkCancellation()
            let round = try await round(after: tail, with: key)
            tail = round.tail ?? tail
            sealed.block = round.block
            sealed.blocks += round.events > 0 ? 1 : 0
            sealed.events += round.events
            if round.isBusy {
                try await Task.sleep(for: LedgerSealer.busyWait)
            } else if !round.isFull {
                publisher?.announce(block: sealed.block)
                return sealed
            }
        }
    }
}

// MARK: - One block

/// Where a ledger ends, and what is needed to go on.
struct SealedTail: Sendable {
    let block: Int
    let hash: LedgerHash
    let frontier: MerkleFrontier
}

extension LedgerSealer {
    private static let beginBlock: PostgresStatement = """
        SELECT outcome, origin, seal_interval_ms, key_number, verifier_key, number, block_hash, tree_size, root_hash, last_position
        FROM millrace.begin_block()
        """
    private static let ledgerPage = PostgresStatement(utf8: PackageResources.ledger_page_sql)
    private static let addNodes: PostgresStatement = "SELECT millrace.add_nodes($1, $2, $3)"
    private static let addBlock: PostgresStatement = """
        SELECT millrace.add_block($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """

    /// What came of one attempt.
    struct Round: Sendable {
        /// nil where nothing was sealed, and where it ends is as it was.
        var tail: SealedTail?
        var events = 0
        /// The last block's number.
        var block: Int
        let interval: Duration
        var isBusy = false
        var isFull: Bool { events == LedgerSealer.eventsPerBlock }
    }

    /// What begin_block says.
    private struct Beginning {
        let isBusy: Bool
        let origin: String
        let interval: Duration
        let keyNumber: Int32
        let verifierKey: String
        let number: Int
        let hash: LedgerHash
        let size: Int
        let root: LedgerHash
        let last: Position

        init(_ row: PostgresRow) throws {
            isBusy = try row.decode(String.self, at: 0) == "busy"
            origin = try row.decode(String.self, at: 1)
            interval = .milliseconds(try row.decode(Int64.self, at: 2))
            keyNumber = try row.decode(Int32.self, at: 3)
            verifierKey = try row.decode(String.self, at: 4)
            number = try row.decode(Int.self, at: 5)
            hash = try row.ledgerHash(at: 6, of: "the last block")
            size = try row.decode(Int.self, at: 7)
            root = try row.ledgerHash(at: 8, of: "the last block")
            last = Position(try row.decode(Int64.self, at: 9))
        }
    }

    /// Seals one block, unless there is nothing to seal or another one seals.
    /// - Parameter tail: where the ledger ended when this sealer last sealed.
    func round(after tail: SealedTail?, with key: LedgerSigningKey) async throws -> Round {
        try await EventStoreError.translating {
            try await store.client.withTransaction { transaction in
                let last = try Beginning(try await transaction.query(LedgerSealer.beginBlock).single())
                var round = Round(block: last.number, interval: last.interval)
                guard LedgerText.areEqual("\(key.verifierKey)", last.verifierKey) else {
                    throw LedgerSealingError.keyIsNotNewest(newest: last.verifierKey)
                }
                if last.isBusy {
                    round.isBusy = true
                    return round
                }
                let leaves = try await LedgerSealer.leaves(after: last.last, transaction)
                guard let first = leaves.positions.first, let end = leaves.positions.last else { return round }
                let before = try await LedgerSealer.frontier(tail, last, transaction)
                let (frontier, nodes) = try await LedgerSealer.store(leaves, behind: before, transaction)
                let block = LedgerBlock(
                    number: last.number + 1,
                    previous: last.hash,
                    first: Position(first),
                    last: Position(end),
                    size: frontier.size,
                    root: frontier.root,
                    sealedAt: PostgresTimestamp.microseconds(Date())
                )
                let note = try LedgerCheckpoint(origin: last.origin, block).signed(by: key)
                try await transaction.pipeline([
                    LedgerSealer.call(adding: nodes), LedgerSealer.call(adding: block, note, last.keyNumber),
                ])
                round.tail = SealedTail(block: block.number, hash: block.hash, frontier: frontier)
                round.events = leaves.count
                round.block = block.number
                return round
            }
        }
    }

    /// The tree as the last block left it: the one that was kept, or the stored one where another sealer has sealed since.
    private static func frontier(
        _ tail: SealedTail?,
        _ last: Beginning,
        _ transaction: PostgresTransaction
    ) async throws -> MerkleFrontier {
        if let tail, tail.block == last.number, tail.hash == last.hash { return tail.frontier }
        let frontier = try await LedgerTables(session: transaction).frontier(size: last.size)
        guard frontier.root == last.root else { throw LedgerSealingError.treeDiffers(block: last.number) }
        return frontier
    }

    /// The events after a position up to the horizon, but a block of them at the most. One page is hashed while the next one is read.
    private static func leaves(after start: Position, _ transaction: PostgresTransaction) async throws -> LedgerLeaves {
        var leaves = LedgerLeaves()
        var position = start.rawValue
        var hashing: Task<LedgerLeaves, any Error>?
        var sizer = PageSizer(bytes: page.bytes)
        var left = eventsPerBlock
        while left > 0 {
            let wanted = min(sizer.limits(within: page).events, left)
            let results = try await transaction.pipeline([
                PostgresCall(Statements.beginPage, [.int8(position)]),
                PostgresCall(ledgerPage, [.int8(position), .int8(Int64(wanted))]),
            ])
            let bounds = try results[0].single()
            let (horizon, upTo) = (try bounds.decode(Int64.self, at: 0), try bounds.decode(Int64.self, at: 1))
            let rows = results[1]
            if let task = hashing { leaves.append(try await task.value) }
            hashing = Task { try LedgerLeaves(rows) }
            left -= rows.count
            if rows.count == wanted, let last = rows.last {
                position = try last.decode(Int64.self, at: 0)
            } else if upTo < horizon {
                // A page ends with the month that it begins in.
                position = upTo
            } else {
                break
            }
            sizer.note(events: leaves.count, bytes: leaves.byteCount)
        }
        if let task = hashing { leaves.append(try await task.value) }
        return leaves
    }

    /// Stores the leaves, and grows the tree meanwhile.
    private static func store(
        _ leaves: LedgerLeaves,
        behind frontier: MerkleFrontier,
        _ transaction: PostgresTransaction
    ) async throws -> (MerkleFrontier, [MerkleNode]) {
        let growing = Task {
            var (frontier, nodes) = (frontier, [MerkleNode]())
            for hash in leaves.hashes { frontier.append(hash, completed: &nodes) }
            return (frontier, nodes)
        }
        let calls = leaves.calls(after: frontier.size)
        for start in stride(from: 0, to: calls.count, by: runsAtOnce) {
            try await transaction.pipeline(Array(calls[start..<min(start + runsAtOnce, calls.count)]))
        }
        return await growing.value
    }

    private static func call(adding nodes: [MerkleNode]) -> PostgresCall {
        PostgresCall(
            addNodes,
            [
                .int4Array(nodes.map { Int32($0.level) }), .int8Array(nodes.map { Int64($0.index) }),
                .byteaArray(nodes.map(\.hash.bytes)),
            ]
        )
    }

    private static func call(adding block: LedgerBlock, _ note: SignedNote, _ keyNumber: Int32) -> PostgresCall {
        PostgresCall(
            addBlock,
            [
                .int8(Int64(block.number)), .int8(block.first.rawValue), .int8(block.last.rawValue),
                .int8(Int64(block.size)), .bytea(block.root.bytes), .int8(block.sealedAt), .bytea(block.hash.bytes),
                .int4(keyNumber), .bytea(note.signatures.first?.bytes ?? []),
            ]
        )
    }
}
