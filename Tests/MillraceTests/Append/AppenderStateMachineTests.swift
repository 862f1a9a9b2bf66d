import MillracePostgres
import Testing

@testable import Millrace

/// Who shares a batch, who waits, and what a failure means: decided without a server and without a clock.
struct AppenderStateMachineTests {
    private typealias Machine = AppenderStateMachine

    private static let start = ContinuousClock.now

    /// Waits that are not shortened at random, and small limits.
    private static func limits(_ change: (inout AppenderLimits) -> Void = { _ in }) -> AppenderLimits {
        var limits = AppenderLimits()
        limits.batchesInFlight = 1
        limits.retry = .serializationFailures(
            attempts: 3,
            backoff: .init(initial: .milliseconds(5), maximum: .milliseconds(10), jitter: 0)
        )
        limits.resends = 3
        limits.resendBackoff = .init(initial: .milliseconds(20), maximum: .milliseconds(40), jitter: 0)
        change(&limits)
        return limits
    }

    private static func ticket(
        _ id: UInt64,
        events: Int = 1,
        stream: String? = nil,
        expecting expected: ExpectedVersion = .any,
        padding: Int = 0
    ) throws -> AppenderTicket {
        let data = JSON(utf8: Array(repeating: 0x20, count: padding) + Array("{}".utf8))
        let new = (0..<events).map { _ in NewEvent(type: "t", data: data) }
        return try AppenderTicket(id, AppendRequest(new, to: StreamID("s", stream ?? "\(id)"), expecting: expected))
    }

    private static func request(_ stream: String, requiring required: String) -> AppendRequest {
        var request = AppendRequest([NewEvent(type: "t", data: .null)], to: StreamID("s", stream))
        request.require(.streamExists, of: StreamID("s", required))
        return request
    }

    private static func server(_ state: PostgresSQLState) -> PostgresError {
        .server(PostgresServerError(sqlState: state, message: "no"))
    }

    private static func ids(_ batch: Machine.Batch?) -> [UInt64]? { batch?.tickets.map(\.id) }

    // MARK: Batches

    @Test func aLoneRequestIsABatchAtOnce() throws {
        let machine = MachineBox(limits: Self.limits())
        #expect(machine.nextBatch() == nil)
        #expect(machine.enqueue(try Self.ticket(1)) == .accepted)
        #expect(Self.ids(machine.nextBatch()) == [1])
        #expect(machine.nextBatch() == nil)
        #expect(!machine.isIdle)
        machine.succeeded(1)
        #expect(machine.isIdle)
    }

    @Test func whatComesMeanwhileSharesTheNextBatch() throws {
        let machine = MachineBox(limits: Self.limits())
        for id in 1...4 as ClosedRange<UInt64> {
            _ = machine.enqueue(try Self.ticket(id))
            if id == 1 { #expect(Self.ids(machine.nextBatch()) == [1]) } else { #expect(machine.nextBatch() == nil) }
        }
        machine.succeeded(1)
        #expect(Self.ids(machine.nextBatch()) == [2, 3, 4])
        #expect(machine.nextBatch() == nil)
    }

    @Test func soManyBatchesAreInFlightAndNoMore() throws {
        let machine = MachineBox(
            limits: Self.limits {
                $0.batchesInFlight = 3
                $0.companionEvents = 1
            }
        )
        var sent: [Machine.Batch] = []
        for id in 1...9 as ClosedRange<UInt64> {
            _ = machine.enqueue(try Self.ticket(id))
            if let batch = machine.nextBatch() { sent.append(batch) }
        }
        #expect(sent.map { $0.tickets.map(\.id) } == [[1], [2], [3]])
        machine.succeeded(sent[1].id)
        #expect(Self.ids(machine.nextBatch()) == [4, 5, 6, 7, 8, 9])
        #expect(machine.nextBatch() == nil)
    }

    @Test func anotherBatchJoinsOnlyWhereEnoughWaits() throws {
        let machine = MachineBox(
            limits: Self.limits {
                $0.batchesInFlight = 2
                $0.companionEvents = 10
                $0.companionBytes = 10_000
            }
        )
        _ = machine.enqueue(try Self.ticket(1))
        #expect(Self.ids(machine.nextBatch()) == [1])
        _ = machine.enqueue(try Self.ticket(2, events: 9))
        #expect(machine.nextBatch() == nil)
        _ = machine.enqueue(try Self.ticket(3))
        #expect(Self.ids(machine.nextBatch()) == [2, 3], "ten events")
        machine.succeeded(2)
        _ = machine.enqueue(try Self.ticket(4, padding: 10_000))
        #expect(Self.ids(machine.nextBatch()) == [4], "ten thousand bytes")
    }

    @Test func nobodyWaitsForABatchThatIsOverdue() throws {
        let machine = MachineBox(limits: Self.limits { $0.batchesInFlight = 3 })
        let patience = Self.limits().patience
        #expect(machine.look(now: Self.start) == nil, "there is nothing to look after")
        _ = machine.enqueue(try Self.ticket(1, stream: "held"))
        #expect(Self.ids(machine.nextBatch(now: Self.start)) == [1])
        let sharing = try Self.ticket(2, stream: "held")
        let expecting = try AppenderTicket(3, Self.request("x", requiring: "held"))
        for ticket in [sharing, expecting, try Self.ticket(4)] { _ = machine.enqueue(ticket) }
        #expect(machine.look(now: Self.start + patience / 2) == patience / 2)
        #expect(machine.nextBatch(now: Self.start + patience / 2) == nil)
        #expect(machine.look(now: Self.start + patience) == nil)
        #expect(Self.ids(machine.nextBatch(now: Self.start + patience)) == [4], "what shares a stream with it stays")
        #expect(machine.nextBatch() == nil)
        machine.succeeded(2)
        #expect(machine.nextBatch() == nil)
        machine.succeeded(1)
        #expect(Self.ids(machine.nextBatch()) == [2])
        machine.succeeded(3)
        #expect(Self.ids(machine.nextBatch()) == [3])
    }

    @Test func aBatchEndsAtEachOfItsLimits() throws {
        func batches(_ change: (inout AppenderLimits) -> Void, _ tickets: [AppenderTicket]) -> [[UInt64]] {
            let machine = MachineBox(limits: Self.limits(change))
            for ticket in tickets { _ = machine.enqueue(ticket) }
            var batches: [[UInt64]] = []
            while let batch = machine.nextBatch() {
                batches.append(batch.tickets.map(\.id))
                machine.succeeded(batch.id)
            }
            return batches
        }
        let single = try (1...5).map { try Self.ticket($0) }
        #expect(batches({ $0.batchRequests = 2 }, single) == [[1, 2], [3, 4], [5]])
        let triple = try (1...3).map { try Self.ticket($0, events: 3) }
        #expect(batches({ $0.batchEvents = 6 }, triple) == [[1, 2], [3]])
        let bytes = single[0].byteCount
        #expect(batches({ $0.batchBytes = 2 * bytes }, single) == [[1, 2], [3, 4], [5]])
        // Larger than any batch: alone, whoever stands around.
        let large = [
            single[0], try Self.ticket(2, events: 7), single[2], try Self.ticket(4, padding: 1 << 20), single[4],
        ]
        #expect(batches({ $0.batchEvents = 6 }, large) == [[1], [2], [3, 4, 5]])
        #expect(batches({ $0.batchBytes = 1 << 19 }, large) == [[1, 2, 3], [4], [5]])
    }

    @Test func expectationsCountAsEventsDo() throws {
        var request = AppendRequest([NewEvent(type: "t", data: .null)], to: StreamID("s", "1"))
        for number in 1...9 { request.require(.streamExists, of: StreamID("other", "\(number)")) }
        #expect(try AppenderTicket(1, request).weight == 9)
        #expect(try AppenderTicket(1, request).expectations.count == 9)
    }

    // MARK: Entanglement

    @Test func requestsThatDependOnEachOtherGoOneAfterTheOther() throws {
        let machine = MachineBox(limits: Self.limits())
        let tickets = [
            try Self.ticket(1, stream: "hot", expecting: .exactly(1)),
            try Self.ticket(2, stream: "hot", expecting: .exactly(1)),
            try Self.ticket(3), try Self.ticket(4, stream: "hot"), try Self.ticket(5, expecting: .noStream),
        ]
        for ticket in tickets { _ = machine.enqueue(ticket) }
        #expect(Self.ids(machine.nextBatch()) == [1, 3, 5])
        machine.succeeded(1)
        // Whoever was passed over is the first of the next.
        #expect(Self.ids(machine.nextBatch()) == [2])
        machine.succeeded(2)
        #expect(Self.ids(machine.nextBatch()) == [4])
    }

    @Test func anExpectationOfAStreamThatWasWrittenBeforeItIsSeen() throws {
        let machine = MachineBox(limits: Self.limits())
        let requires = Self.request("own", requiring: "2")
        for ticket in [try Self.ticket(1), try Self.ticket(2), try AppenderTicket(3, requires), try Self.ticket(4)] {
            _ = machine.enqueue(ticket)
        }
        #expect(Self.ids(machine.nextBatch()) == [1, 2, 4])
        machine.succeeded(1)
        #expect(Self.ids(machine.nextBatch()) == [3])
    }

    @Test func requestsThatOnlyShareAStreamGoTogether() throws {
        let machine = MachineBox(limits: Self.limits())
        for id in 1...5 as ClosedRange<UInt64> { _ = machine.enqueue(try Self.ticket(id, stream: "hot")) }
        #expect(Self.ids(machine.nextBatch()) == [1, 2, 3, 4, 5])
    }

    @Test func onlySoManyArePassedOver() throws {
        let machine = MachineBox(limits: Self.limits { $0.passedOver = 2 })
        for id in 1...5 as ClosedRange<UInt64> {
            _ = machine.enqueue(try Self.ticket(id, stream: "hot", expecting: .exactly(1)))
        }
        _ = machine.enqueue(try Self.ticket(6))
        #expect(Self.ids(machine.nextBatch()) == [1])
        machine.succeeded(1)
        #expect(Self.ids(machine.nextBatch()) == [2])
        machine.succeeded(2)
        #expect(Self.ids(machine.nextBatch()) == [3, 6])
        machine.succeeded(3)
        #expect(Self.ids(machine.nextBatch()) == [4])
    }

    // MARK: Room

    @Test func callersWaitForRoomInTheirOrder() throws {
        let bytes = try Self.ticket(1).byteCount
        let machine = MachineBox(
            limits: Self.limits {
                $0.queuedBytes = 3 * bytes
                $0.batchRequests = 1
            }
        )
        for id in 1...4 as ClosedRange<UInt64> { #expect(machine.enqueue(try Self.ticket(id)) == .accepted) }
        #expect((machine.queuedCount, machine.waitingCount) == (3, 1))
        // Larger than the whole queue. Small ones behind it would fit, and do not overtake it.
        #expect(machine.enqueue(try Self.ticket(5, padding: 10 * bytes)) == .accepted)
        #expect(machine.enqueue(try Self.ticket(6)) == .accepted)
        var order: [UInt64] = []
        var highest = 0
        while let batch = machine.nextBatch() {
            order += batch.tickets.map(\.id)
            highest = max(highest, machine.queuedCount)
            machine.succeeded(batch.id)
        }
        #expect(order == [1, 2, 3, 4, 5, 6])
        #expect(highest <= 3)
        #expect(machine.isIdle)
    }

    @Test func whoeverFindsTheLineFullIsRefused() throws {
        let machine = MachineBox(
            limits: Self.limits {
                $0.queuedRequests = 2
                $0.waitingCallers = 1
            }
        )
        for id in 1...3 as ClosedRange<UInt64> { #expect(machine.enqueue(try Self.ticket(id)) == .accepted) }
        #expect(machine.enqueue(try Self.ticket(4)) == .refused(waiting: 1))
        #expect(machine.leave(2))
        #expect((machine.queuedCount, machine.waitingCount) == (2, 0), "who leaves makes room")
        #expect(machine.enqueue(try Self.ticket(5)) == .accepted)
    }

    @Test func whoeverIsNotSentYetCanLeave() throws {
        let machine = MachineBox(limits: Self.limits { $0.queuedRequests = 2 })
        for id in 1...4 as ClosedRange<UInt64> {
            _ = machine.enqueue(try Self.ticket(id))
            if id == 1 { _ = machine.nextBatch() }
        }
        #expect(!machine.leave(1), "it is on its way")
        #expect(machine.leave(4), "out of the line")
        #expect(machine.leave(2), "out of the queue")
        #expect(!machine.leave(2))
        machine.succeeded(1)
        #expect(Self.ids(machine.nextBatch()) == [3])
    }

    // MARK: Failures

    @Test func theBadOneOfABatchIsFoundByHalving() throws {
        let bad: UInt64 = 11
        let machine = MachineBox(limits: Self.limits())
        for id in 1...64 as ClosedRange<UInt64> { _ = machine.enqueue(try Self.ticket(id)) }
        var stored: Set<UInt64> = []
        var refused: [UInt64] = []
        var sends = 0
        while let batch = machine.nextBatch() {
            sends += 1
            guard batch.tickets.contains(where: { $0.id == bad }) else {
                stored.formUnion(batch.tickets.map(\.id))
                machine.succeeded(batch.id)
                continue
            }
            switch machine.failed(batch.id, Self.server("22P02"), now: Self.start) {
            case .divided: #expect(batch.tickets.count > 1)
            case .refused(let ids): refused += ids
            case .resend, .unknown: Issue.record("it is known, and final")
            }
        }
        #expect(refused == [bad])
        #expect(stored == Set(1...64).subtracting([bad]))
        #expect(sends == 13, "twice six halvings, and the whole")
        #expect(machine.isIdle)
    }

    @Test func aRefusalThatConcernsAllIsEverybodys() throws {
        for state in ["42883", "42501", "25006", "3F000"] as [PostgresSQLState] {
            let machine = MachineBox(limits: Self.limits())
            for id in 1...3 as ClosedRange<UInt64> { _ = machine.enqueue(try Self.ticket(id)) }
            let batch = try #require(machine.nextBatch())
            #expect(machine.failed(batch.id, Self.server(state), now: Self.start) == .refused([1, 2, 3]))
            #expect(machine.isIdle)
        }
    }

    @Test func aDeadlockIsTriedAgainSoManyTimes() throws {
        let machine = MachineBox(limits: Self.limits())
        _ = machine.enqueue(try Self.ticket(1))
        let deadlock = Self.server(.deadlockDetected)
        let batch = try #require(machine.nextBatch())
        #expect(machine.failed(batch.id, deadlock, now: Self.start) == .resend(after: .milliseconds(5)))
        _ = machine.enqueue(try Self.ticket(2))
        #expect(machine.nextBatch() == nil, "it keeps its place while it waits")
        machine.waited(batch.id)
        #expect(machine.nextBatch() == batch)
        #expect(machine.failed(batch.id, deadlock, now: Self.start) == .resend(after: .milliseconds(10)))
        machine.waited(batch.id)
        #expect(machine.nextBatch() == batch)
        #expect(machine.failed(batch.id, deadlock, now: Self.start) == .refused([1]))
        #expect(Self.ids(machine.nextBatch()) == [2])
    }

    @Test func aLostAnswerIsAskedForAgain() throws {
        let machine = MachineBox(limits: Self.limits())
        for id in 1...2 as ClosedRange<UInt64> { _ = machine.enqueue(try Self.ticket(id)) }
        let batch = try #require(machine.nextBatch())
        #expect(machine.failed(batch.id, .connectionLost("x"), now: Self.start) == .resend(after: .milliseconds(20)))
        machine.waited(batch.id)
        #expect(machine.nextBatch() == batch, "the same requests with the same ids")
        // The server is not back yet, which says nothing of what it has stored.
        let refusedConnection = PostgresError.cannotConnect(PostgresConnectFailure(message: "x"))
        #expect(machine.failed(batch.id, refusedConnection, now: Self.start) == .resend(after: .milliseconds(40)))
        machine.waited(batch.id)
        #expect(machine.nextBatch() == batch)
        machine.succeeded(batch.id)
        #expect(machine.isIdle)
    }

    @Test func aLostAnswerIsNotAskedForForEver() throws {
        let machine = MachineBox(limits: Self.limits())
        _ = machine.enqueue(try Self.ticket(1))
        let batch = try #require(machine.nextBatch())
        for _ in 1...3 {
            guard case .resend = machine.failed(batch.id, .connectionLost("x"), now: Self.start) else {
                Issue.record("it gave up too soon")
                return
            }
            machine.waited(batch.id)
            #expect(machine.nextBatch() == batch)
        }
        #expect(machine.failed(batch.id, .connectionLost("x"), now: Self.start) == .unknown([1]))

        _ = machine.enqueue(try Self.ticket(2))
        let second = try #require(machine.nextBatch())
        #expect(machine.failed(second.id, .connectionLost("x"), now: Self.start) == .resend(after: .milliseconds(20)))
        machine.waited(second.id)
        #expect(machine.nextBatch() == second)
        let later = Self.start + Self.limits().resendTime
        #expect(machine.failed(second.id, .connectionLost("x"), now: later) == .unknown([2]))
        #expect(machine.isIdle)
    }

    /// After a loss a refusal settles it only where the batch could never have been stored.
    @Test(arguments: ["25006", "53100", "40001", "57014"] as [PostgresSQLState])
    func aRefusalAfterALossMayBeOfNowOnly(state: PostgresSQLState) throws {
        let machine = MachineBox(limits: Self.limits())
        _ = machine.enqueue(try Self.ticket(1))
        let batch = try #require(machine.nextBatch())
        _ = machine.failed(batch.id, .connectionLost("x"), now: Self.start)
        machine.waited(batch.id)
        _ = machine.nextBatch()
        #expect(machine.failed(batch.id, Self.server(state), now: Self.start) == .resend(after: .milliseconds(40)))
        machine.waited(batch.id)
        _ = machine.nextBatch()
        let later = Self.start + Self.limits().resendTime
        #expect(machine.failed(batch.id, Self.server(state), now: later) == .unknown([1]))
    }

    @Test func aRefusalOfTheContentSettlesALoss() throws {
        let machine = MachineBox(limits: Self.limits())
        _ = machine.enqueue(try Self.ticket(1))
        let batch = try #require(machine.nextBatch())
        _ = machine.failed(batch.id, .connectionLost("x"), now: Self.start)
        machine.waited(batch.id)
        _ = machine.nextBatch()
        #expect(machine.failed(batch.id, Self.server("22P02"), now: Self.start) == .refused([1]))
    }

    @Test func whoTookTooLongIsNotAskedForAgain() throws {
        let machine = MachineBox(limits: Self.limits())
        _ = machine.enqueue(try Self.ticket(1))
        let batch = try #require(machine.nextBatch())
        #expect(machine.failed(batch.id, .timedOut(.seconds(1)), now: Self.start) == .unknown([1]))
    }

    @Test func withoutAConnectionEverybodyWhoWaitsLearnsIt() throws {
        let failures: [PostgresError] = [
            .cannotConnect(PostgresConnectFailure(message: "x")), .acquireTimedOut(.seconds(1)), .clientClosed,
            .poolExhausted(waiters: 1),
        ]
        for failure in failures {
            let machine = MachineBox(limits: Self.limits { $0.queuedRequests = 2 })
            for id in 1...4 as ClosedRange<UInt64> {
                _ = machine.enqueue(try Self.ticket(id))
                if id == 1 { _ = machine.nextBatch() }
            }
            #expect(machine.failed(1, failure, now: Self.start) == .refused([1, 2, 3, 4]))
            #expect(machine.isIdle)
        }
    }

    @Test func aClosedClientSettlesNothingThatWasLost() throws {
        let machine = MachineBox(limits: Self.limits())
        _ = machine.enqueue(try Self.ticket(1))
        let batch = try #require(machine.nextBatch())
        _ = machine.failed(batch.id, .connectionLost("x"), now: Self.start)
        machine.waited(batch.id)
        _ = machine.nextBatch()
        #expect(machine.failed(batch.id, .clientClosed, now: Self.start) == .unknown([1]))
        #expect(machine.isIdle)
    }

    // MARK: Anything at all

    /// Whatever happens in whatever order: each request is answered once, and no limit is exceeded.
    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func everyRequestIsAnsweredOnce(seed: UInt64) throws {
        var run = AppenderStateMachineRun(seed: Dice.seed &+ seed)
        for _ in 0..<2_000 { try run.step() }
        try run.finish()
        #expect(run.answered.count == run.lastID)
        #expect(run.machine.isIdle)
    }
}

/// A machine by reference, because an expectation cannot change a value.
private final class MachineBox {
    private var machine: AppenderStateMachine

    init(limits: AppenderLimits) { machine = AppenderStateMachine(limits: limits) }

    var isIdle: Bool { machine.isIdle }
    var queuedCount: Int { machine.queuedCount }
    var waitingCount: Int { machine.waitingCount }

    func enqueue(_ ticket: AppenderTicket) -> AppenderStateMachine.Admission { machine.enqueue(ticket) }
    func leave(_ id: UInt64) -> Bool { machine.leave(id) }
    func nextBatch(now: ContinuousClock.Instant = .now) -> AppenderStateMachine.Batch? { machine.nextBatch(now: now) }
    func look(now: ContinuousClock.Instant) -> Duration? { machine.look(now: now) }
    func succeeded(_ id: UInt64) { machine.succeeded(id) }
    func waited(_ id: UInt64) { machine.waited(id) }

    @discardableResult
    func failed(
        _ id: UInt64,
        _ error: PostgresError,
        now: ContinuousClock.Instant
    ) -> AppenderStateMachine.Verdict {
        machine.failed(id, error, now: now)
    }
}

/// A machine, and a server that fails as the dice fall.
private struct AppenderStateMachineRun {
    private typealias Machine = AppenderStateMachine

    var machine: AppenderStateMachine
    var lastID = 0
    /// By request, how often.
    private(set) var answered: [UInt64: Int] = [:]
    private var dice: Dice
    private var limits = AppenderLimits()
    private var flying: [AppenderStateMachine.Batch] = []
    private var waiting: [AppenderStateMachine.BatchID] = []
    private var now = ContinuousClock.now

    init(seed: UInt64) {
        dice = Dice(seed: seed)
        limits.batchesInFlight = Int.random(in: 1...4, using: &dice)
        limits.batchRequests = 8
        limits.batchEvents = 12
        limits.queuedRequests = 10
        limits.queuedBytes = 4_000
        limits.waitingCallers = 20
        limits.passedOver = 3
        limits.resends = 4
        limits.companionEvents = Int.random(in: 1...12, using: &dice)
        limits.patience = .milliseconds(Int.random(in: 1...2_000, using: &dice))
        machine = AppenderStateMachine(limits: limits)
    }

    mutating func step() throws {
        now += .milliseconds(Int.random(in: 0...800, using: &dice))
        switch Int.random(in: 0..<10, using: &dice) {
        case 0..<5: try enqueue()
        case 5: leave()
        case 6: if let id = waiting.popLast() { machine.waited(id) }
        default: end()
        }
        _ = machine.look(now: now)
        take()
    }

    mutating func finish() throws {
        while !machine.isIdle {
            while let id = waiting.popLast() { machine.waited(id) }
            take()
            end()
        }
    }

    private mutating func enqueue() throws {
        lastID += 1
        let events = (0..<Int.random(in: 1...5, using: &dice)).map { _ in NewEvent(type: "t", data: .null) }
        let expected: ExpectedVersion = Bool.random(using: &dice) ? .any : .streamExists
        let stream = StreamID("s", "\(Int.random(in: 0..<6, using: &dice))")
        let ticket = try AppenderTicket(UInt64(lastID), AppendRequest(events, to: stream, expecting: expected))
        if machine.enqueue(ticket) != .accepted { answer([ticket.id]) }
    }

    private mutating func leave() {
        let id = UInt64(Int.random(in: 0...lastID, using: &dice))
        if machine.leave(id) { answer([id]) }
    }

    private mutating func end() {
        guard !flying.isEmpty else { return }
        let batch = flying.remove(at: Int.random(in: 0..<flying.count, using: &dice))
        let failures: [PostgresError] = [
            .connectionLost("x"), .timedOut(.seconds(1)), .cannotConnect(PostgresConnectFailure(message: "x")),
            .server(PostgresServerError(sqlState: "22P02", message: "x")),
            .server(PostgresServerError(sqlState: .deadlockDetected, message: "x")),
        ]
        guard let failure = failures.randomElement(using: &dice), Bool.random(using: &dice) else {
            machine.succeeded(batch.id)
            return answer(batch.tickets.map(\.id))
        }
        switch machine.failed(batch.id, failure, now: now) {
        case .resend: waiting.append(batch.id)
        case .divided: break
        case .refused(let ids), .unknown(let ids): answer(ids)
        }
    }

    private mutating func take() {
        while let batch = machine.nextBatch(now: now) { flying.append(batch) }
        #expect(flying.count + waiting.count <= limits.batchesInFlight)
        #expect(machine.queuedCount <= limits.queuedRequests)
        #expect(machine.waitingCount <= limits.waitingCallers)
        for batch in flying where batch.tickets.count > 1 {
            #expect(batch.tickets.count <= limits.batchRequests)
            #expect(batch.tickets.reduce(0) { $0 + $1.weight } <= limits.batchEvents)
        }
    }

    private mutating func answer(_ ids: [UInt64]) {
        for id in ids {
            answered[id, default: 0] += 1
            #expect(answered[id] == 1, "request \(id) was answered twice")
        }
    }
}
