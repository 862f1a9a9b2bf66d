import Testing

@testable import MillracePostgres

@Suite struct PoolStateMachineTests {
    private func machine(connections: Int = 2, waiters: Int = 10) -> PoolStateMachine {
        PoolStateMachine(
            limits: .init(connections: connections, waiters: waiters),
            backoff: .init(initial: .seconds(1), maximum: .seconds(4), jitter: 0)
        )
    }

    @Test func connectionsAreOpenedForThoseWhoWaitUpToTheLimit() {
        var machine = machine(connections: 2)
        for waiter in 1...3 as ClosedRange<UInt64> { #expect(machine.acquire(waiter) == .wait) }
        #expect(machine.openAnother() == .zero)
        #expect(machine.openAnother() == .zero)
        #expect(machine.openAnother() == nil)
        #expect(machine.opened(10) == .hand(10, to: 1))
        #expect(machine.opened(11) == .hand(11, to: 2))
        #expect(machine.released(10) == .hand(10, to: 3))
        #expect(machine.released(11) == .keep)
        #expect(machine.acquire(4) == .lease(11))
    }

    @Test func noConnectionIsOpenedForNobody() {
        var machine = machine()
        #expect(machine.openAnother() == nil)
        #expect(machine.acquire(1) == .wait)
        #expect(machine.leave(1) == true)
        #expect(machine.leave(1) == false)
        #expect(machine.openAnother() == nil)
    }

    @Test func beyondTheLimitCallersAreRefused() {
        var machine = machine(waiters: 1)
        #expect(machine.acquire(1) == .wait)
        #expect(machine.acquire(2) == .exhausted(waiters: 1))
    }

    @Test func thoseWhoLeftAreSkipped() {
        var machine = machine(connections: 1)
        for waiter in 1...3 as ClosedRange<UInt64> { #expect(machine.acquire(waiter) == .wait) }
        _ = machine.openAnother()
        #expect(machine.leave(1) == true)
        #expect(machine.opened(10) == .hand(10, to: 2))
        #expect(machine.statistics.waiting == 1)
    }

    @Test func aFailureFailsThoseForWhomNothingIsLeft() {
        var machine = machine(connections: 2)
        #expect(machine.acquire(1) == .wait)
        #expect(machine.acquire(2) == .wait)
        _ = machine.openAnother()
        _ = machine.openAnother()
        #expect(machine.opened(10) == .hand(10, to: 1))
        // One connection is leased and will come back.
        #expect(machine.openingFailed() == [])
        machine.lost(10)
        #expect(machine.openAnother() == .seconds(1))
        #expect(machine.openAnother() == nil)
        #expect(machine.openingFailed() == [2])
        #expect(machine.isEmpty)
    }

    @Test func failuresBackOffAndSuccessForgetsThem() {
        var machine = machine()
        for (waiter, wait) in [
            (1, Duration.zero), (2, .seconds(1)), (3, .seconds(2)), (4, .seconds(4)), (5, .seconds(4)),
        ] {
            #expect(machine.acquire(UInt64(waiter)) == .wait)
            #expect(machine.openAnother() == wait)
            #expect(machine.openingFailed() == [UInt64(waiter)])
        }
        #expect(machine.acquire(6) == .wait)
        #expect(machine.openAnother() == .seconds(4))
        #expect(machine.opened(10) == .hand(10, to: 6))
        #expect(machine.acquire(7) == .wait)
        #expect(machine.openAnother() == .zero)
    }

    @Test func aLostConnectionMakesRoom() {
        var machine = machine(connections: 1)
        #expect(machine.acquire(1) == .wait)
        _ = machine.openAnother()
        #expect(machine.opened(10) == .hand(10, to: 1))
        #expect(machine.acquire(2) == .wait)
        #expect(machine.openAnother() == nil)
        machine.lost(10)
        #expect(machine.released(10) == .keep)
        #expect(machine.openAnother() == .zero)
    }

    @Test func closingRefusesAndCloses() {
        var machine = machine(connections: 2)
        for waiter in 1...2 as ClosedRange<UInt64> {
            #expect(machine.acquire(waiter) == .wait)
            _ = machine.openAnother()
        }
        #expect(machine.opened(10) == .hand(10, to: 1))
        #expect(machine.opened(11) == .hand(11, to: 2))
        #expect(machine.released(11) == .keep)
        #expect(machine.acquire(3) == .lease(11))
        #expect(machine.released(11) == .keep)
        #expect(machine.close().idle == [11])
        #expect(machine.acquire(4) == .closed)
        #expect(machine.released(10) == .close(10))
        #expect(!machine.isEmpty)
        machine.lost(10)
        machine.lost(11)
        #expect(machine.isEmpty)
    }
}
