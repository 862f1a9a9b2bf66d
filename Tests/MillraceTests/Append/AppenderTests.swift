import Foundation
import MillracePostgres
import Synchronization
import Testing

@testable import Millrace

/// What callers who share a transaction have of each other: nothing.
@Suite(.timeLimit(.minutes(15)))
struct AppenderTests {
    private static let held = StreamID("held", "1")

    private static func event(_ type: String = "t", _ json: String = "{}") -> NewEvent {
        NewEvent(type: type, data: JSON(json))
    }

    /// A store that sends one batch at a time, and a stream whose row somebody holds: what is appended to it keeps its
    /// batch on the server, and everything behind it in the queue.
    private static func withHeldStream(
        _ change: (inout AppenderLimits) -> Void = { _ in },
        _ body: (EventStore, Holder) async throws -> Void
    ) async throws {
        var limits = AppenderLimits()
        limits.batchesInFlight = 1
        change(&limits)
        try await withStore(appending: limits) { store in
            try await withClient(store.client.configuration) { other in
                let holder = Holder(client: other)
                try await body(store, holder)
                await holder.release()
            }
        }
    }

    /// Holds the stream's row in a transaction of its own, until it is released.
    private final class Holder: Sendable {
        private let client: PostgresClient
        private let gate = Rendezvous(parties: 2)
        private let task = Mutex<Task<Void, any Error>?>(nil)

        init(client: PostgresClient) { self.client = client }

        func hold() async throws {
            let isHeld = Rendezvous(parties: 2)
            let holding = Task { [client, gate] in
                let store = EventStore(client)
                try await client.withTransaction { transaction in
                    try await store.lockStreams([AppenderTests.held], in: transaction)
                    try await store.append([AppenderTests.event("holder")], to: AppenderTests.held, in: transaction)
                    await isHeld.arrive()
                    await gate.arrive()
                }
            }
            task.withLock { $0 = holding }
            await isHeld.arrive()
        }

        func release() async {
            guard let holding = task.withLock({ $0.take() }) else { return }
            await gate.arrive()
            _ = try? await holding.value
        }

        /// The backends that wait for the row.
        func blocked() async throws -> [Int32] {
            try await client.query(
                """
                SELECT pid FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock' ORDER BY pid
                """
            ).map { try $0.decode(Int32.self, at: 0) }
        }

        /// Ends the session that waits for the row; one changes from one kind of lock to another meanwhile.
        func terminateWaiter() async throws -> Int32 {
            var victim: Int32?
            try await eventually("a backend waits for the row") {
                victim = try await blocked().first
                return victim != nil
            }
            let pid = try #require(victim)
            try await client.query("SELECT pg_terminate_backend($1)", [.int4(pid)])
            return pid
        }

        /// An append that is on the server and cannot end.
        func block(_ store: EventStore) async throws -> Task<AppendResult, any Error> {
            try await hold()
            let task = Task { try await store.append([AppenderTests.event("blocked")], to: AppenderTests.held) }
            try await eventually("the batch waits for the row") { try await blocked().count == 1 }
            return task
        }
    }

    private final class Announcements: Sendable {
        private let positions = Mutex<[Position]>([])

        func note(_ position: Position) { positions.withLock { $0.append(position) } }
        var all: [Position] { positions.withLock { $0 } }
    }

    private static func queued(_ count: Int, in store: EventStore) async throws {
        try await eventually("\(count) requests are queued") { store.appender.backlog.queued == count }
    }

    // MARK: Sharing

    @Test func whoComesWhileABatchIsUnderWaySharesTheNextTransaction() async throws {
        let callers = 50
        try await Self.withHeldStream { store, holder in
            let first = try await holder.block(store)
            let others = (0..<callers).map { number in
                Task { try await store.append([Self.event()], to: StreamID("many", "\(number)")) }
            }
            try await Self.queued(callers, in: store)
            await holder.release()
            _ = try await first.value
            var versions: [Int] = []
            for other in others { versions += try await other.value.events.map(\.version) }
            #expect(versions == Array(repeating: 1, count: callers))
            let transactions = try await store.client.query(
                "SELECT count(DISTINCT xmin::text) FROM millrace.events WHERE aggregate_type = 'many'"
            )
            #expect(try transactions.single().decode(Int64.self, at: 0) == 1)
        }
    }

    @Test func aBatchIsAnnouncedOnceBeforeItsCallersGoOn() async throws {
        let callers = 30
        try await withStore { store in
            let announced = Announcements()
            var limits = AppenderLimits()
            limits.batchesInFlight = 1
            let appender = Appender(client: store.client, limits: limits) { position in
                announced.note(position)
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<callers {
                    group.addTask {
                        let request = AppendRequest([Self.event()], to: StreamID("many", "\(number)"))
                        guard case .row(let row) = try await appender.append(request) else {
                            throw UnexpectedOutcome(what: "a request that is not stored")
                        }
                        let result = try AppendEncoding.result(of: request, in: row)
                        #expect(announced.all.contains { $0 >= result.lastPosition })
                    }
                }
                try await group.waitForAll()
            }
            let transactions = try await store.client.query("SELECT count(DISTINCT xmin::text) FROM millrace.events")
            let count = Int(try transactions.single().decode(Int64.self, at: 0))
            #expect(announced.all.count == count)
            #expect(count < callers)
            print("Appender: \(callers) callers, \(count) transactions, each announced once")
        }
    }

    /// One batch with everything that can be wrong with a request: each gets the answer it gets when it is alone.
    @Test func everyRequestSucceedsConflictsOrFailsAlone() async throws {
        try await Self.withHeldStream { store, holder in
            let repeated = AppendRequest([Self.event("before")], to: StreamID("good", "repeated"))
            let original = try await store.append(repeated)
            let bad: [(AppendRequest, [String])] = [
                (AppendRequest([Self.event("t", "{")], to: StreamID("bad", "1")), ["event_data is not valid"]),
                (
                    AppendRequest([Self.event(), Self.event("second", #"{"a":"\u0000"}"#)], to: StreamID("bad", "2")),
                    ["event_data of event 2 (second)"]
                ),
                (AppendRequest([Self.event("")], to: StreamID("bad", "3")), ["event_type of event 1 is empty"]),
                (
                    AppendRequest([NewEvent(type: "t", data: .noise(atLeast: 1 << 20))], to: StreamID("bad", "4")),
                    ["event_data", "the limit is 1048576"]
                ),
                (AppendRequest([Self.event("a\0b")], to: StreamID("bad", "5")), ["UTF8", "0x00"]),
            ]
            let first = try await holder.block(store)
            let good = (0..<40).map { number in
                Task { try await store.append([Self.event()], to: StreamID("good", "\(number)"), expecting: .noStream) }
            }
            let conflicting = Task {
                try await store.append([Self.event()], to: StreamID("good", "conflict"), expecting: .exactly(7))
            }
            let again = Task { try await store.append(repeated) }
            let refused = bad.map { request, says in
                Task { try await BadEventTests.expectRefusal(saying: says) { try await store.append(request) } }
            }
            try await Self.queued(good.count + refused.count + 2, in: store)
            await holder.release()

            _ = try await first.value
            for task in good { #expect(try await task.value.events.map(\.version) == [1]) }
            for task in refused { try await task.value }
            let answer = try await again.value
            #expect(answer.wasRepeated)
            #expect(answer.events == original.events)
            let error = await #expect(throws: EventStoreError.self) { try await conflicting.value }
            guard case .versionConflict(let conflicts) = error else {
                throw UnexpectedOutcome(what: String(describing: error))
            }
            #expect(
                conflicts == [VersionConflict(stream: StreamID("good", "conflict"), expected: .exactly(7), actual: 0)]
            )
            let audit = try await LogAudit(of: store.client)
            #expect(audit.log.count { $0.stream.aggregateType == "good" } == good.count + 1)
            #expect(audit.log.allSatisfy { $0.stream.aggregateType != "bad" })
            #expect(audit.brokenStreams.isEmpty)
        }
    }

    @Test func callersWhoWantTheSameVersionHaveOneWinner() async throws {
        let callers = 60
        try await withStore { store in
            let stream = StreamID("hot", "1")
            let outcomes = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<callers {
                    group.addTask {
                        do {
                            try await store.append([Self.event()], to: stream, expecting: .noStream)
                            return true
                        } catch EventStoreError.versionConflict(let conflicts) {
                            return conflicts.map(\.actual) != [1]
                        } catch {
                            Issue.record("\(error)")
                            return true
                        }
                    }
                }
                return await group.reduce(into: [Bool]()) { $0.append($1) }
            }
            #expect(outcomes.count { $0 } == 1, "one is stored, the others are told of version 1")
        }
    }

    @Test func aFullQueueMakesCallersWaitAndRefusesNobody() async throws {
        let callers = 200
        let limit = 7
        try await Self.withHeldStream({ $0.queuedRequests = limit }) { store, holder in
            let first = try await holder.block(store)
            let others = (0..<callers).map { number in
                Task { try await store.append([Self.event()], to: StreamID("many", "\(number)")) }
            }
            try await eventually("all others wait") { store.appender.backlog == (limit, callers - limit) }
            await holder.release()
            _ = try await first.value
            for other in others { #expect(try await !other.value.wasRepeated) }
            #expect(store.appender.backlog == (0, 0))
        }
    }

    /// A transaction of somebody else may hold a stream for as long as it likes.
    @Test func aStreamThatIsHeldHoldsUpOnlyItself() async throws {
        try await Self.withHeldStream({ $0.batchesInFlight = 3 }) { store, holder in
            let first = try await holder.block(store)
            let sharing = (0..<5).map { _ in Task { try await store.append([Self.event("sharing")], to: Self.held) } }
            for number in 1...10 { try await store.append([Self.event()], to: StreamID("many", "\(number)")) }
            try await Self.queued(sharing.count, in: store)
            #expect(try await holder.blocked().count <= 1, "they wait in the queue, not on the server")
            await holder.release()
            #expect(try await first.value.events.map(\.version) == [2])
            var versions: [Int] = []
            for task in sharing { versions += try await task.value.events.map(\.version) }
            #expect(versions.sorted() == [3, 4, 5, 6, 7])
        }
    }

    // MARK: Cancellation

    @Test func whoeverIsCancelledInTheQueueIsNotStored() async throws {
        try await Self.withHeldStream { store, holder in
            let first = try await holder.block(store)
            let cancelled = Task { try await store.append([Self.event("cancelled")], to: StreamID("many", "1")) }
            let other = Task { try await store.append([Self.event("other")], to: StreamID("many", "2")) }
            try await Self.queued(2, in: store)
            cancelled.cancel()
            let error = await #expect(throws: EventStoreError.self) { try await cancelled.value }
            guard case .postgres(.cancelled) = error else {
                throw UnexpectedOutcome(what: String(describing: error))
            }
            await holder.release()
            _ = try await first.value
            _ = try await other.value
            #expect(Set(try await LogAudit(of: store.client).log.map(\.type)) == ["holder", "blocked", "other"])
        }
    }

    /// Its batch goes on for the others, who do not notice.
    @Test func whoeverIsCancelledOnTheWayLearnsThatHeDoesNotKnow() async throws {
        try await Self.withHeldStream { store, holder in
            let blocked = try await holder.block(store)
            blocked.cancel()
            let error = await #expect(throws: EventStoreError.self) { try await blocked.value }
            guard case .outcomeUnknown(let ids) = error else {
                throw UnexpectedOutcome(what: String(describing: error))
            }
            try await eventually("its batch is still there") { try await holder.blocked().count == 1 }
            let open = store.client.statistics.open
            await holder.release()
            try await eventually("it was stored all the same") {
                try await LogAudit(of: store.client).log.contains { $0.id == ids[0] }
            }
            #expect(store.client.statistics.open >= open, "it cost no connection")
        }
    }

    @Test func whoeverWasCancelledBeforeIsNotStored() async throws {
        try await withStore { store in
            let task = Task {
                // The cancellation is there before the append begins.
                while !Task.isCancelled { await Task.yield() }
                try await store.append([Self.event()], to: StreamID("many", "1"))
            }
            task.cancel()
            let error = await #expect(throws: EventStoreError.self) { try await task.value }
            guard case .postgres(.cancelled) = error else {
                throw UnexpectedOutcome(what: String(describing: error))
            }
            #expect(try await LogAudit(of: store.client).log.isEmpty)
        }
    }

    // MARK: Losses

    @Test func aBatchWhoseConnectionIsLostIsSentAgain() async throws {
        let callers = 20
        try await Self.withHeldStream { store, holder in
            let first = try await holder.block(store)
            let others = (0..<callers).map { number in
                Task { try await store.append([Self.event()], to: StreamID("many", "\(number)"), expecting: .noStream) }
            }
            try await Self.queued(callers, in: store)
            for _ in 1...3 {
                let victim = try await holder.terminateWaiter()
                try await eventually("the batch is there again, on another connection") {
                    let now = try await holder.blocked()
                    return now.count == 1 && now != [victim]
                }
            }
            await holder.release()
            #expect(try await first.value.events.map(\.version) == [2])
            for other in others { #expect(try await other.value.events.map(\.version) == [1]) }
            let log = try await LogAudit(of: store.client).log
            #expect(log.count == callers + 2)
            #expect(Set(log.map(\.id)).count == log.count)
        }
    }

    @Test func whenItCannotBeSettledEachLearnsOfHisOwnEvents() async throws {
        try await Self.withHeldStream({ $0.resends = 0 }) { store, holder in
            let first = try await holder.block(store)
            _ = try await holder.terminateWaiter()
            let error = await #expect(throws: EventStoreError.self) { try await first.value }
            guard case .outcomeUnknown(let ids) = error else {
                throw UnexpectedOutcome(what: String(describing: error))
            }
            #expect(ids.count == 1)
            await holder.release()
            #expect(try await LogAudit(of: store.client).log.map(\.type) == ["holder"])
        }
    }

    // MARK: The end

    @Test func closingTheClientAnswersEverybody() async throws {
        let callers = 25
        try await Self.withHeldStream({ $0.queuedRequests = 10 }) { store, holder in
            var configuration = store.client.configuration
            configuration.closeTimeout = .milliseconds(50)
            let client = PostgresClient(configuration, logger: store.logger)
            let closing = EventStore(client, appending: store.appender.limits, logger: store.logger)
            let first = try await holder.block(closing)
            let others = (0..<callers).map { number in
                Task { try await closing.append([Self.event()], to: StreamID("many", "\(number)")) }
            }
            try await eventually("all wait") { closing.appender.backlog == (10, callers - 10) }
            await client.close()
            let error = await #expect(throws: EventStoreError.self) { try await first.value }
            guard case .outcomeUnknown = error else { throw UnexpectedOutcome(what: String(describing: error)) }
            for other in others {
                let error = await #expect(throws: EventStoreError.self) { try await other.value }
                guard case .postgres(.clientClosed) = error else {
                    throw UnexpectedOutcome(what: String(describing: error))
                }
            }
            await holder.release()
            #expect(try await LogAudit(of: store.client).log.count { $0.stream.aggregateType == "many" } == 0)
        }
    }

    @Test func withoutAServerEverybodyLearnsItAtOnce() async throws {
        var configuration = PostgresConfiguration("host=127.0.0.1 port=1 dbname=none")
        configuration.reconnectBackoff = .init(initial: .milliseconds(1), maximum: .milliseconds(1))
        try await withClient(configuration) { client in
            let store = EventStore(client)
            let tasks = (0..<20).map { number in
                Task { try await store.append([Self.event()], to: StreamID("many", "\(number)")) }
            }
            for task in tasks {
                let error = await #expect(throws: EventStoreError.self) { try await task.value }
                guard case .postgres(.cannotConnect) = error else {
                    throw UnexpectedOutcome(what: String(describing: error))
                }
            }
        }
    }
}
