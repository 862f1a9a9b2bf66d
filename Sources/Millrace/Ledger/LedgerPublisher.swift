public import Logging
import MillracePostgres
public import ServiceLifecycle

/// Tells places outside of the database of each new checkpoint. What they keep cannot be taken back by who owns the database: a ledger that is
/// rewritten, or an old copy of it, is found by what was published.
///
/// Before it tells, it looks at what the place was told last: where that is no beginning of this ledger, it refuses and says so. A place that
/// cannot be reached keeps nobody from sealing; it is tried again, and then told of the newest checkpoint.
public struct LedgerPublisher: Service {
    private static let backoff = PostgresBackoff(initial: .milliseconds(500), maximum: .seconds(60))

    private let store: EventStore
    private let targets: [LedgerPublicationTarget]
    private let news: [(stream: AsyncStream<Int>, continuation: AsyncStream<Int>.Continuation)]
    private let logger: Logger

    /// - Parameter store: its client's role is a member of `millrace_admin`, or the owner.
    public init(
        _ store: EventStore,
        targets: [LedgerPublicationTarget],
        logger: Logger = Logger(label: "millrace.ledger")
    ) {
        self.store = store
        self.targets = targets
        self.logger = logger
        // Who is told late is told of the newest only.
        news = targets.map { _ in AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }
    }

    /// Says what the last block is. Returns at once.
    func announce(block: Int) {
        for (_, continuation) in news { continuation.yield(block) }
    }

    /// Publishes until its task is cancelled or it is shut down gracefully. To be run once.
    public func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            for (target, news) in zip(targets, news) {
                group.addTask {
                    await publish(to: target, news.stream)
                    await target.close()
                }
            }
        }
    }

    private func publish(to target: LedgerPublicationTarget, _ news: AsyncStream<Int>) async {
        var told = 0
        var failures = 0
        for await block in news.cancelOnGracefulShutdown() {
            // Blocks that came while it failed are in the next checkpoint too.
            while block > told && !Task.isCancelled {
                do {
                    told = try await publish(to: target)
                    failures = 0
                } catch {
                    if Task.isCancelled { return }
                    failures += 1
                    await note(error, target, failures)
                    let wait = LedgerPublisher.backoff.delay(afterFailure: failures)
                    do { try await cancelWhenGracefulShutdown { try await Task.sleep(for: wait) } } catch { return }
                }
            }
        }
    }

    private func note(_ error: any Error, _ target: LedgerPublicationTarget, _ failures: Int) async {
        let details: Logger.Metadata = [
            "target": "\(target.name)", "error": "\(error)", "failures": "\(failures)",
        ]
        if case LedgerError.forked = error {
            logger.critical("THE LEDGER IS NOT THE ONE THAT WAS PUBLISHED", metadata: details)
        } else {
            logger.error("a checkpoint was not published", metadata: details)
        }
        do { try await record(target, block: nil, error: "\(error)") } catch {
            logger.debug("the failure could not be recorded", metadata: ["error": "\(error)"])
        }
    }

    private static let recordPublication: PostgresStatement = "SELECT millrace.record_publication($1, $2, $3)"

    private func record(_ target: LedgerPublicationTarget, block: Int?, error: String?) async throws {
        try await EventStoreError.translating {
            _ = try await store.client.query(
                LedgerPublisher.recordPublication,
                [.text(target.name), .int8(block.map(Int64.init)), .text(error)]
            )
        }
    }

    /// Publishes the newest checkpoint to one target, unless that has it.
    /// - Returns: its block's number; 0 where none is sealed.
    /// - Throws: ``LedgerError/forked(_:)`` where what the target was told last is not the beginning of this ledger; nothing is told then.
    @discardableResult
    public func publish(to target: LedgerPublicationTarget) async throws -> Int {
        let tables = LedgerTables(session: store.client)
        let newest: (block: LedgerBlock, note: SignedNote)? = try await EventStoreError.translating {
            guard let stored = try await tables.block(), let note = try await tables.checkpoint(stored.block.number)
            else { return nil }
            return (stored.block, note)
        }
        guard let newest else { return 0 }
        let keyring = try await store.ledger.keyring()
        let checkpoint = try keyring.checkpoint(newest.note)
        try await target.tell(checkpoint, newest.note) { last in
            try await isContinued(last, keyring, tables, up: newest.block)
        }
        try await record(target, block: newest.block.number, error: nil)
        return newest.block.number
    }

    /// Whether this ledger has grown since a checkpoint that somebody kept: false where it is the newest.
    private func isContinued(
        _ last: SignedNote,
        _ keyring: LedgerKeyring,
        _ tables: LedgerTables,
        up newest: LedgerBlock
    ) async throws -> Bool {
        let kept: LedgerCheckpoint
        do throws(LedgerNoteError) { kept = try keyring.checkpoint(last) } catch {
            throw LedgerError.forked("what was published last is not of this ledger's keys (\(error))")
        }
        guard kept.size <= newest.size else {
            throw LedgerError.forked("\(kept) was published, and this ledger has \(newest.size) events only")
        }
        let stored = try await EventStoreError.translating { try await tables.block(withTreeOf: kept.size) }
        guard let stored, stored.block.root == kept.root, stored.block.number == kept.block,
            stored.block.hash == kept.blockHash
        else {
            throw LedgerError.forked("\(kept) was published, and this ledger has another block of that size, or none")
        }
        return kept.size < newest.size
    }

    /// Publishes the newest checkpoint to every target now, and puts the targets away.
    /// - Throws: the first failure, after all were tried; it is recorded too.
    public func publishAll() async throws {
        var first: (any Error)?
        for target in targets {
            do { try await publish(to: target) } catch {
                await note(error, target, 1)
                first = first ?? error
            }
            await target.close()
        }
        if let first { throw first }
    }
}
