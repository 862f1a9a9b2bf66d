import Foundation
import Millrace
import MillracePostgres
import Synchronization

/// Publishers that do everything a publisher may do, with random delays inside their open transactions, and a book of
/// what became of every event.
struct PublisherLoad: Sendable {
    static let writers = 12
    static let settlers = 3
    static let streams = 300
    /// Every open prepared transaction holds its streams: beyond this many, writers do something else.
    static let maximumPrepared = 16

    enum Act: String, CaseIterable, Sendable {
        case publish, publishSeveral, append, appendTwice, rollBack, savepoint, prepare, die
    }

    /// What became of the events, as their publishers know it.
    struct Book: Sendable {
        var stored: Set<UUID> = []
        var takenBack: Set<UUID> = []
        var acts: [Act: Int] = [:]
        var openPrepared = 0

        var summary: String {
            let acts = Act.allCases.map { "\($0.rawValue) \(self.acts[$0, default: 0])" }.joined(separator: ", ")
            return "\(stored.count) events stored, \(takenBack.count) taken back (\(acts))"
        }
    }

    /// A transaction that one session prepared and another one will settle.
    private struct Prepared: Sendable {
        let name: String
        let events: [UUID]
    }

    let store: EventStore
    let seed: UInt64
    private let ledger: Ledger

    private final class Ledger: Sendable {
        let book = Mutex(Book())
    }

    init(store: EventStore, seed: UInt64) {
        self.store = store
        self.seed = seed
        ledger = Ledger()
    }

    var book: Book { ledger.book.withLock { $0 } }

    /// Writes until `duration` is over, and returns when every transaction it began has ended, the prepared ones too.
    func run(for duration: Duration) async throws {
        let end = ContinuousClock.now + duration
        let desks = (0..<PublisherLoad.settlers).map { _ in AsyncStream.makeStream(of: Prepared.self) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { for desk in desks { desk.continuation.finish() } }
                try await withThrowingTaskGroup(of: Void.self) { writers in
                    for writer in 0..<PublisherLoad.writers {
                        let desk = desks[writer % desks.count].continuation
                        writers.addTask { try await self.write(as: writer, until: end, desk) }
                    }
                    try await writers.waitForAll()
                }
            }
            for (number, desk) in desks.enumerated() {
                group.addTask { try await self.settle(desk.stream, as: number) }
            }
            try await group.waitForAll()
        }
    }

    private func write(
        as writer: Int,
        until end: ContinuousClock.Instant,
        _ desk: AsyncStream<Prepared>.Continuation
    ) async throws {
        var dice = Dice(seed: seed &+ UInt64(writer))
        // However short the load, everything is done at least once.
        var act = Act.allCases[writer % Act.allCases.count]
        while ContinuousClock.now < end {
            switch act {
            case .publish: try await publish(1, &dice)
            case .publishSeveral: try await publish(Int.random(in: 2...6, using: &dice), &dice)
            case .append: try await append(&dice)
            case .appendTwice: try await appendTwice(&dice)
            case .rollBack: try await rollBack(&dice)
            case .savepoint: try await useSavepoint(&dice)
            case .prepare: try await prepare(as: writer, &dice, desk)
            case .die: try await die(&dice)
            }
            ledger.book.withLock { $0.acts[act, default: 0] += 1 }
            act = pick(&dice)
        }
    }

    private func pick(_ dice: inout Dice) -> Act {
        switch Int.random(in: 0..<100, using: &dice) {
        case 0..<22: return .publish
        case 22..<36: return .publishSeveral
        case 36..<56: return .append
        case 56..<68: return .appendTwice
        case 68..<78: return .rollBack
        case 78..<88: return .savepoint
        case 88..<99:
            let open = ledger.book.withLock { $0.openPrepared }
            return open < PublisherLoad.maximumPrepared ? .prepare : .publish
        default: return .die
        }
    }
}

// MARK: - What a publisher may do

extension PublisherLoad {
    /// Thrown by a publisher that changes its mind.
    private struct ChangeOfMind: Error {}

    private static let sleep: PostgresStatement = "SELECT pg_sleep($1)"
    private static let publishEvent: PostgresStatement = "SELECT millrace.publish_event($1, $2, $3, $4, $5)"
    private static let lockStreams: PostgresStatement = "SELECT millrace.lock_streams($1, $2)"
    private static let silence: PostgresStatement = "SELECT set_config('millrace.notify_on_publish', 'off', true)"
    private static let die: PostgresStatement = "SELECT pg_terminate_backend(pg_backend_pid())"

    /// One type in twenty is rare, for the reader that wants nothing else.
    static let rareType = "soak.rare"

    private func type(_ dice: inout Dice) -> String {
        Int.random(in: 0..<20, using: &dice) == 0 ? PublisherLoad.rareType : "soak.usual"
    }

    private func someStreams(_ count: Int, _ dice: inout Dice) -> [StreamID] {
        (0..<count).map { _ in
            let number = Int.random(in: 0..<PublisherLoad.streams, using: &dice)
            return StreamID("type\(number % 3)", "\(number)")
        }
    }

    /// The load itself: how long a transaction stays open with what it wrote. Mostly short, sometimes very long.
    private func linger(in session: any PostgresSession, _ dice: inout Dice) async throws {
        let longest = Int.random(in: 0..<25, using: &dice) == 0 ? 0.2 : 0.02
        try await session.query(
            PublisherLoad.sleep,
            [.float8(Double.random(in: 0...longest, using: &dice))]
        )
    }

    private func publish(to stream: StreamID, in session: any PostgresSession, _ dice: inout Dice) async throws -> UUID
    {
        let rows = try await session.query(
            PublisherLoad.publishEvent,
            [
                .text(type(&dice)), .text(stream.aggregateID), .text(stream.aggregateType),
                .jsonb(Array(#"{"by":"publish_event"}"#.utf8)), .jsonb(nil),
            ]
        )
        return try rows[0].decode(UUID.self, at: 0)
    }

    private func lock(_ streams: [StreamID], in session: any PostgresSession) async throws {
        try await session.query(
            PublisherLoad.lockStreams,
            [.textArray(streams.map(\.aggregateType)), .textArray(streams.map(\.aggregateID))]
        )
    }

    private func publishSlowly(
        to streams: [StreamID],
        in session: any PostgresSession,
        _ dice: inout Dice
    ) async throws -> [UUID] {
        if streams.count > 1 { try await lock(streams, in: session) }
        var ids: [UUID] = []
        for stream in streams {
            ids.append(try await publish(to: stream, in: session, &dice))
            try await linger(in: session, &dice)
        }
        return ids
    }

    private func noteStored(_ ids: [UUID]) { ledger.book.withLock { $0.stored.formUnion(ids) } }
    private func noteTakenBack(_ ids: [UUID]) { ledger.book.withLock { $0.takenBack.formUnion(ids) } }

    private func publish(_ count: Int, _ dice: inout Dice) async throws {
        let streams = someStreams(count, &dice)
        let ids = try await store.client.withTransaction { transaction in
            try await publishSlowly(to: streams, in: transaction, &dice)
        }
        noteStored(ids)
    }

    private func request(of streams: [StreamID], _ dice: inout Dice) -> AppendRequest {
        var request = AppendRequest()
        for stream in streams {
            let events = (0..<Int.random(in: 1...3, using: &dice)).map { _ in
                NewEvent(type: type(&dice), data: JSON(#"{"by":"append"}"#))
            }
            request.append(events, to: stream)
        }
        return request
    }

    private func append(_ dice: inout Dice) async throws {
        let request = request(of: someStreams(Int.random(in: 1...5, using: &dice), &dice), &dice)
        try await store.append(request)
        noteStored(request.entries.map(\.event.id))
    }

    private func appendTwice(_ dice: inout Dice) async throws {
        let streams = someStreams(4, &dice)
        let requests = [request(of: [streams[0], streams[1]], &dice), request(of: [streams[2], streams[3]], &dice)]
        try await store.withTransaction(retry: .none) { transaction in
            try await store.lockStreams(streams, in: transaction)
            for request in requests {
                try await store.append(request, in: transaction)
                try await linger(in: transaction, &dice)
            }
        }
        noteStored(requests.flatMap(\.entries).map(\.event.id))
    }

    private func rollBack(_ dice: inout Dice) async throws {
        let streams = someStreams(Int.random(in: 1...3, using: &dice), &dice)
        do {
            try await store.client.withTransaction { transaction in
                noteTakenBack(try await publishSlowly(to: streams, in: transaction, &dice))
                throw ChangeOfMind()
            }
        } catch is ChangeOfMind {}
    }

    private func useSavepoint(_ dice: inout Dice) async throws {
        let streams = someStreams(3, &dice)
        // Half of the time the savepoint holds the transaction's first event, and with it the fence.
        let writesBefore = Bool.random(using: &dice)
        let stored = try await store.client.withTransaction { transaction in
            try await lock(streams, in: transaction)
            var stored: [UUID] = []
            if writesBefore { stored += try await publishSlowly(to: [streams[0]], in: transaction, &dice) }
            do {
                try await transaction.withSavepoint { inner in
                    noteTakenBack(try await publishSlowly(to: [streams[1]], in: inner, &dice))
                    throw ChangeOfMind()
                }
            } catch is ChangeOfMind {}
            try await linger(in: transaction, &dice)
            stored += try await publishSlowly(to: [streams[2]], in: transaction, &dice)
            return stored
        }
        noteStored(stored)
    }

    private func prepare(
        as writer: Int,
        _ dice: inout Dice,
        _ desk: AsyncStream<Prepared>.Continuation
    ) async throws {
        let name = "soak-\(writer)-\(dice.next())"
        let streams = someStreams(2, &dice)
        ledger.book.withLock { $0.openPrepared += 1 }
        let ids = try await store.client.withConnection { connection in
            try await connection.query(PostgresStatement("BEGIN", prepared: false))
            // A transaction that has notified cannot be prepared.
            try await connection.query(PublisherLoad.silence)
            let ids = try await publishSlowly(to: streams, in: connection, &dice)
            try await connection.query(PostgresStatement("PREPARE TRANSACTION '\(name)'", prepared: false))
            return ids
        }
        desk.yield(Prepared(name: name, events: ids))
    }

    /// Commits most of what was prepared, some time later and in another session, and rolls the rest back.
    private func settle(_ prepared: AsyncStream<Prepared>, as settler: Int) async throws {
        var dice = Dice(seed: seed &+ 1000 &+ UInt64(settler))
        for await transaction in prepared {
            try await linger(in: store.client, &dice)
            let commits = Int.random(in: 0..<5, using: &dice) > 0
            let verb = commits ? "COMMIT" : "ROLLBACK"
            try await store.client.query(PostgresStatement("\(verb) PREPARED '\(transaction.name)'", prepared: false))
            if commits { noteStored(transaction.events) } else { noteTakenBack(transaction.events) }
            ledger.book.withLock { $0.openPrepared -= 1 }
        }
    }

    /// A publisher whose session is ended in the middle of its transaction.
    private func die(_ dice: inout Dice) async throws {
        let streams = someStreams(2, &dice)
        do {
            try await store.client.withTransaction { transaction in
                noteTakenBack(try await publishSlowly(to: streams, in: transaction, &dice))
                try await transaction.query(PublisherLoad.die)
            }
        } catch is PostgresError {}
    }
}
