import Foundation
import Millrace
import MillracePostgres
import Synchronization
import Testing

/// What an append has acknowledged is there after a crash, once; what it has not is there once or not at all, and
/// appending it again with the same ids settles which: by the store itself, or, where that gives up, by the caller. Many
/// callers share each of the transactions that the crash interrupts.
@Suite(.serialized, .timeLimit(.minutes(15)))
struct AcknowledgedIsDurableTests {
    private static let writers = 48
    private static let crashes = 3
    /// Appends acknowledged in each round before the server is killed.
    private static let appendsBeforeTheCrash = 600
    static let answerLimit = Duration.seconds(60)

    enum Victim: String, CaseIterable, Sendable {
        /// kill -9 on the postmaster.
        case server
        /// kill -9 on one backend, after which the server takes all sessions down and recovers by itself.
        case backend
    }

    /// Who settles what a lost answer leaves open.
    enum Settling: String, CaseIterable, Sendable {
        case store, caller

        var limits: AppenderLimits {
            var limits = AppenderLimits()
            switch self {
            case .store:
                // A recovery takes as long as it takes.
                limits.resends = 10_000
                limits.resendTime = AcknowledgedIsDurableTests.answerLimit
            case .caller:
                limits.resends = 0
            }
            return limits
        }
    }

    /// What the writers know.
    private struct Entries: Sendable {
        var acknowledged: [AppendRequest] = []
        var unacknowledged: [AppendRequest] = []
        var outcomesUnknown = 0
        /// Acknowledged, and stored by an attempt whose answer was lost.
        var settled = 0
        /// The server is back: nobody needs to go on.
        var isOver = false
    }

    private final class Book: Sendable {
        private let entries = Mutex(Entries())

        func note(_ change: (inout Entries) -> Void) { entries.withLock { change(&$0) } }
        var all: Entries { entries.withLock { $0 } }
    }

    @Test(arguments: Victim.allCases, Settling.allCases)
    func whenPostgreSQLIsKilledAmidAppends(victim: Victim, settling: Settling) async throws {
        try await CrashableServer.run { server in
            var configuration = PostgresConfiguration(server.connectionString)
            configuration.maximumConnections = Self.writers + 8
            // Publishers may turn it off; the store's appends are flushed all the same.
            configuration.sessionSettings["synchronous_commit"] = "off"
            try await withStores(configuration, configuration, appending: settling.limits) { store, reader in
                let seen = Sightings(of: "live subscriber over \(Self.crashes) crashes (\(victim), \(settling))")
                let options = SubscriptionOptions()
                let following = Task {
                    for try await element in reader.subscribe(from: .start, options: options) {
                        if case .event(let event) = element { seen.note(event) }
                    }
                }
                defer { following.cancel() }

                var total = 0
                for _ in 1...Self.crashes {
                    total += try await Self.crash(server, victim, settling, store)
                }
                try await eventually("the subscriber has all \(total) events", within: Self.answerLimit) {
                    seen.count >= total
                }
                let audit = try await LogAudit(of: store.client)
                let findings = audit.findings(on: seen)
                print("AcknowledgedIsDurable: \(findings)")
                #expect(findings.isClean)
                #expect(audit.log.count == total)
                #expect(audit.brokenStreams.isEmpty)
            }
        }
    }

    /// One round; returns how many events its requests have.
    private static func crash(
        _ server: CrashableServer,
        _ victim: Victim,
        _ settling: Settling,
        _ store: EventStore
    ) async throws -> Int {
        let book = Book()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<writers {
                group.addTask { try await write(store, into: book) }
            }
            try await eventually("\(appendsBeforeTheCrash) appends are acknowledged", within: answerLimit) {
                book.all.acknowledged.count >= appendsBeforeTheCrash
            }
            var killed: Int32 = 0
            switch victim {
            case .server:
                try await server.kill()
                try await server.start()
            case .backend:
                killed = try await store.client.withConnection { connection in
                    try await server.killBackend(of: connection)
                    return connection.backendProcessID
                }
            }
            // As long as the dead one is listed, the others have not been told yet and answer as ever.
            let isListed: PostgresStatement = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1"
            try await eventually("the server answers again", within: answerLimit) {
                do {
                    return try await store.client.query(isListed, [.int4(killed)]).single().decode(Int64.self, at: 0)
                        == 0
                } catch is PostgresError {
                    return false
                }
            }
            book.note { $0.isOver = true }
            try await group.waitForAll()
        }
        let result = book.all
        try await check(result, victim, settling, store)
        return (result.acknowledged + result.unacknowledged).reduce(0) { $0 + $1.entries.count }
    }

    private static func check(
        _ result: Entries,
        _ victim: Victim,
        _ settling: Settling,
        _ store: EventStore
    ) async throws {
        let found = Dictionary(grouping: try await LogAudit(of: store.client).log, by: \.id)
        for request in result.acknowledged {
            for entry in request.entries {
                #expect(
                    found[entry.event.id]?.count == 1,
                    "acknowledged, and there \(found[entry.event.id]?.count ?? 0) times"
                )
            }
        }
        var stored = 0
        for request in result.unacknowledged {
            let counts = Set(request.entries.map { found[$0.event.id]?.count ?? 0 })
            #expect(counts == [0] || counts == [1], "a request is there as a whole, once, or not at all")
            let again = try await store.append(request)
            #expect(again.wasRepeated == (counts == [1]))
            if counts == [1] { stored += 1 }
        }
        print(
            "AcknowledgedIsDurable, a \(victim) killed, settled by the \(settling):",
            "\(result.acknowledged.count) appends acknowledged, \(result.settled) of those after a lost answer,",
            "\(result.unacknowledged.count) not, \(stored) of those stored all the same,",
            "\(result.outcomesUnknown) reported as of unknown outcome"
        )
        switch settling {
        case .store: #expect(result.outcomesUnknown == 0, "the server came back, so all of it can be known")
        case .caller: #expect(!result.unacknowledged.isEmpty, "the crash came too late to interrupt anything")
        }
    }

    /// Appends until the server does not answer any more, or is back.
    private static func write(_ store: EventStore, into book: Book) async throws {
        while !book.all.isOver {
            var request = AppendRequest()
            for _ in 0..<Int.random(in: 1...3) {
                let events = (0..<Int.random(in: 1...2)).map { _ in NewEvent(type: "durable", data: .emptyObject) }
                request.append(events, to: StreamID("durable", "\(Int.random(in: 0..<50))"))
            }
            do {
                let result = try await store.append(request)
                book.note {
                    $0.acknowledged.append(request)
                    if result.wasRepeated { $0.settled += 1 }
                }
            } catch let error as EventStoreError {
                book.note { $0.unacknowledged.append(request) }
                if case .outcomeUnknown(let ids) = error {
                    book.note { $0.outcomesUnknown += 1 }
                    #expect(ids == request.entries.map(\.event.id))
                }
                return
            }
        }
    }
}
