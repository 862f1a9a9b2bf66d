import Testing

@testable import MillracePostgres

@Suite struct ConnectionStateMachineTests {
    typealias Machine = ConnectionStateMachine

    private func machine(depth: Int = 2, bytes: Int = 100, queued: Int = 10) -> Machine {
        Machine(limits: .init(depth: depth, bytes: bytes, queued: queued))
    }

    private func call(_ id: UInt64, exclusive: Bool = false, bytes: Int = 10) -> Machine.Call {
        Machine.Call(id: id, exclusive: exclusive, bytes: bytes)
    }

    @Test func answersBelongToCallsInTheOrderOfTheirSending() {
        var machine = machine()
        for id in 1...2 as ClosedRange<UInt64> {
            #expect(machine.enqueue(call(id)) == true)
            #expect(machine.next() == .send(id))
            machine.sent(id, [.prepare(0), .execute(0), .sync])
        }
        #expect(machine.received(.result) == .take(1, .prepare(0)))
        #expect(machine.received(.end) == .nothing)
        #expect(machine.received(.result) == .take(1, .execute(0)))
        #expect(machine.received(.end) == .nothing)
        #expect(machine.received(.sync) == .complete(1))
        #expect(machine.received(.error) == .take(2, .prepare(0)))
        #expect(machine.received(.end) == .nothing)
        #expect(machine.received(.aborted) == .take(2, .execute(0)))
        #expect(machine.received(.end) == .nothing)
        #expect(machine.received(.sync) == .complete(2))
        #expect(machine.isQuiet)
    }

    @Test func theDepthHoldsCallsBack() {
        var machine = machine(depth: 2)
        for id in 1...3 as ClosedRange<UInt64> { #expect(machine.enqueue(call(id)) == true) }
        for id in 1...2 as ClosedRange<UInt64> {
            #expect(machine.next() == .send(id))
            machine.sent(id, [.sync])
        }
        #expect(machine.next() == .nothing)
        #expect(machine.received(.sync) == .complete(1))
        #expect(machine.next() == .send(3))
    }

    @Test func theBytesHoldCallsBackButNotALargeOneAlone() {
        var machine = machine(depth: 10, bytes: 100)
        #expect(machine.enqueue(call(1, bytes: 60)) == true)
        #expect(machine.enqueue(call(2, bytes: 500)) == true)
        #expect(machine.next() == .send(1))
        machine.sent(1, [.sync])
        #expect(machine.next() == .nothing)
        #expect(machine.received(.sync) == .complete(1))
        #expect(machine.next() == .send(2))
    }

    @Test func aFullQueueRefuses() {
        var machine = machine(queued: 1)
        #expect(machine.enqueue(call(1)) == true)
        #expect(machine.enqueue(call(2)) == false)
    }

    @Test func anExclusiveCallWaitsForOthersAndKeepsOthersWaiting() {
        var machine = machine()
        #expect(machine.enqueue(call(1)) == true)
        #expect(machine.enqueue(call(2, exclusive: true)) == true)
        #expect(machine.enqueue(call(3)) == true)
        #expect(machine.next() == .send(1))
        machine.sent(1, [.sync])
        #expect(machine.next() == .nothing)
        #expect(machine.received(.sync) == .complete(1))
        #expect(machine.next() == .startExclusive(2))
        #expect(machine.next() == .nothing)
        machine.exclusiveEnded(2)
        #expect(machine.next() == .send(3))
    }

    @Test func abandoningCostsTheConnectionOnlyOnceSent() {
        var machine = machine(depth: 1)
        #expect(machine.enqueue(call(1)) == true)
        #expect(machine.enqueue(call(2)) == true)
        #expect(machine.next() == .send(1))
        machine.sent(1, [.sync])
        #expect(machine.abandon(2) == .dequeued)
        #expect(machine.abandon(2) == .unknown)
        #expect(machine.abandon(1) == .costsConnection)
        #expect(machine.received(.sync) == .complete(1))
        #expect(machine.abandon(1) == .unknown)
    }

    @Test func closingNamesEveryCallOnce() {
        var machine = machine(depth: 1)
        for id in 1...3 as ClosedRange<UInt64> { #expect(machine.enqueue(call(id)) == true) }
        #expect(machine.next() == .send(1))
        machine.sent(1, [.execute(0), .sync])
        let left = machine.close()
        #expect(left.map(\.id) == [1, 2, 3])
        #expect(left.map(\.sent) == [true, false, false])
        #expect(machine.isClosed)
        #expect(machine.next() == .nothing)
    }

    @Test func anAnswerOutOfTurnIsAViolation() {
        var machine = machine()
        if case .violation = machine.received(.sync) {} else { Issue.record("an answer to nothing was accepted") }
        #expect(machine.enqueue(call(1)) == true)
        #expect(machine.next() == .send(1))
        machine.sent(1, [.execute(0), .sync])
        if case .violation = machine.received(.sync) {} else { Issue.record("a sync before its results was accepted") }
    }

    @Test func aCallThatRunsAgainGoesFirst() {
        var machine = machine(depth: 1)
        #expect(machine.enqueue(call(1)) == true)
        #expect(machine.enqueue(call(2)) == true)
        #expect(machine.next() == .send(1))
        machine.sent(1, [.sync])
        #expect(machine.received(.sync) == .complete(1))
        #expect(machine.enqueue(call(1), first: true) == true)
        #expect(machine.next() == .send(1))
    }
}
