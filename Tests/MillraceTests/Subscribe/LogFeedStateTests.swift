import Foundation
import Testing

@testable import Millrace

/// What the feed decides, without a database: a log that only the test writes, and reads that end when the test says so.
struct LogFeedStateTests {
    private typealias State = LogFeedState

    private final class Owner: Sendable {}
    private static let epoch = UUID()
    private static let owner = Owner()

    /// The events after a position, as PostgreSQL would page them. Every event's position is its number.
    private static func page(
        after position: Int64,
        through last: Int64,
        of end: Int64,
        epoch: UUID = epoch,
        bytes: Int = 2,
        horizon: Int64? = nil
    ) -> EventPage {
        let data = JSON(utf8: [UInt8](repeating: 0x20, count: bytes))
        let numbers = position < last ? Array(position + 1...last) : []
        return EventPage(
            events: numbers.map { number in
                RecordedEvent(
                    position: Position(number),
                    type: number % 2 == 0 ? "even" : "odd",
                    stream: StreamID("a", "1"),
                    version: Int(number),
                    data: data
                )
            },
            scannedTo: Position(max(position, last)),
            isLast: last >= end,
            epoch: epoch,
            horizon: Position(horizon ?? end)
        )
    }

    private static func wish(_ after: Int64, caughtUp: Bool = false, new: Bool = false) -> State.Wish {
        State.Wish(after: Position(after), isCaughtUp: caughtUp, isNew: new)
    }

    private static func catchUp(_ after: Int64) -> State.Read { .catchUp(.init(after: Position(after), own: nil)) }
    private static func head(_ after: Int64) -> State.Read { .head(after: Position(after)) }

    /// The numbers of the events that answers carry, by subscriber; an empty page is there, an answer of another kind is not.
    private static func delivered(_ effects: State.Effects, _ filter: EventFilter = .all) -> [UInt64: [Int]] {
        var delivered: [UInt64: [Int]] = [:]
        for case (let id, .page(let delivery)) in effects.answers {
            delivered[id] = delivery.page(matching: filter, within: PageLimits()).events.map(\.version)
        }
        return delivered
    }

    /// Subscribers that have caught up with a log of so many events, and wait.
    private static func live(
        _ count: Int,
        at end: Int64 = 10,
        _ limits: State.Limits = .init()
    ) -> (State, [UInt64]) {
        var state = State(limits)
        let ids = (0..<count).map { _ in state.join(owner: ObjectIdentifier(Self.owner), timeout: .seconds(1)) }
        _ = state.ask(ids[0], wish(end, new: true))
        _ = state.finished(catchUp(end), of: state.life, .success(page(after: end, through: end, of: end)))
        for id in ids { _ = state.ask(id, wish(end, caughtUp: true)) }
        return (state, ids)
    }

    @Test func whoStartTogetherShareOneRead() {
        var state = State()
        let ids = (1...100).map { _ in state.join(owner: ObjectIdentifier(Self.owner), timeout: .seconds(1)) }
        let reads = ids.flatMap { state.ask($0, Self.wish(0, new: true)).reads }
        #expect(reads == [Self.catchUp(0)])
        let effects = state.finished(reads[0], of: state.life, .success(Self.page(after: 0, through: 5, of: 9)))
        #expect(Self.delivered(effects) == Dictionary(uniqueKeysWithValues: ids.map { ($0, [1, 2, 3, 4, 5]) }))
        // The next page is read ahead, once, and whoever comes there joins.
        #expect(effects.reads == [Self.catchUp(5)])
        #expect(ids.flatMap { state.ask($0, Self.wish(5)).reads }.isEmpty)
    }

    @Test func aHintReadsTheHeadOnceForAllWhoFollow() {
        var (state, ids) = Self.live(100)
        let hint = state.rung(Position(11))
        #expect(hint.reads == [Self.head(10)])
        let effects = state.finished(hint.reads[0], of: state.life, .success(Self.page(after: 10, through: 12, of: 12)))
        #expect(effects.reads.isEmpty)
        #expect(Self.delivered(effects).count == ids.count)
        #expect(Self.delivered(effects).values.allSatisfy { $0 == [11, 12] })
    }

    @Test func hintsDuringAReadMakeOneMore() {
        var (state, _) = Self.live(3)
        let first = state.rung(Position(11))
        for number in 12...40 { #expect(state.rung(Position(Int64(number))).reads.isEmpty) }
        let effects = state.finished(
            first.reads[0],
            of: state.life,
            .success(Self.page(after: 10, through: 10, of: 10))
        )
        #expect(effects.reads == [Self.head(10)])
        let last = state.finished(effects.reads[0], of: state.life, .success(Self.page(after: 10, through: 40, of: 40)))
        #expect(last.reads.isEmpty)
    }

    @Test func theEchoOfAnAnnouncementCostsNoRead() {
        var (state, ids) = Self.live(1)
        let announced = state.announce(Position(11))
        #expect(announced.reads == [Self.head(10)])
        _ = state.finished(announced.reads[0], of: state.life, .success(Self.page(after: 10, through: 11, of: 11)))
        _ = state.ask(ids[0], Self.wish(11, caughtUp: true))
        #expect(state.rung(Position(11)).reads.isEmpty)
        // Another's ring for a position that is read may stand for others that are not.
        #expect(state.rung(Position(7)).reads == [Self.head(11)])
    }

    @Test func theHeadIsReadAheadByOnePageOnly() {
        var (state, ids) = Self.live(2)
        let first = state.rung(nil)
        let effects = state.finished(
            first.reads[0],
            of: state.life,
            .success(Self.page(after: 10, through: 12, of: 20))
        )
        // The fastest has its page, and nobody waits: one page ahead, and no further.
        #expect(effects.reads == [Self.head(12)])
        let second = state.finished(
            effects.reads[0],
            of: state.life,
            .success(Self.page(after: 12, through: 14, of: 20))
        )
        #expect(second.reads.isEmpty)
        let asked = state.ask(ids[0], Self.wish(12))
        #expect(Self.delivered(asked) == [ids[0]: [13, 14]])
        #expect(asked.reads == [Self.head(14)])
        // The slow one finds both, as one page.
        #expect(Self.delivered(state.ask(ids[1], Self.wish(10))) == [ids[1]: [11, 12, 13, 14]])
    }

    @Test func whoFallsOutOfTheWindowReadsForItselfAndComesBack() {
        var limits = State.Limits()
        limits.window.events = 6
        var (state, ids) = Self.live(2, at: 10, limits)
        let (fast, slow) = (ids[0], ids[1])
        // While the fast one takes each page, the slow one is busy with something else.
        _ = state.cancel(slow)
        var end: Int64 = 10
        for _ in 1...5 {
            let read = state.rung(nil).reads
            #expect(read == [Self.head(end)])
            _ = state.finished(read[0], of: state.life, .success(Self.page(after: end, through: end + 3, of: end + 3)))
            end += 3
            _ = state.ask(fast, Self.wish(end, caughtUp: true))
        }
        #expect(state.windowStart == Position(19))
        var seen: [Int] = []
        var position: Int64 = 10
        var underWay: [State.Read] = []
        while position < end {
            var effects = state.ask(slow, Self.wish(position))
            #expect(Self.delivered(effects)[slow] == nil || position >= 19, "what the window holds is not read again")
            underWay += effects.reads
            while Self.delivered(effects)[slow] == nil, !underWay.isEmpty {
                let read = underWay.removeFirst()
                #expect(read == Self.catchUp(position))
                let page = Self.page(after: position, through: position + 4, of: 25)
                effects = state.finished(read, of: state.life, .success(page))
                underWay += effects.reads
            }
            let page = Self.delivered(effects)[slow] ?? []
            seen += page
            position = Int64(page.last ?? Int(end))
        }
        #expect(underWay.isEmpty, "nothing is read ahead of what the window holds")
        #expect(seen == Array(11...25))
    }

    @Test func theWindowKeepsToItsLimitsInBytesAndEvents() {
        var limits = State.Limits()
        limits.window = PageWindow.Limits(bytes: 100_000, events: 50, pages: 8)
        var (state, ids) = Self.live(1, at: 0, limits)
        var end: Int64 = 0
        for turn in 1...200 {
            let size = turn % 3 == 0 ? 20_000 : 10
            let read = state.rung(nil).reads
            _ = state.finished(
                read[0],
                of: state.life,
                .success(Self.page(after: end, through: end + 4, of: end + 4, bytes: size))
            )
            end += 4
            #expect(state.windowBytes <= max(100_000, Self.page(after: 0, through: 4, of: 4, bytes: size).byteCount))
            let start = state.windowStart?.rawValue ?? 0
            #expect(end - start <= 50 && start < end)
            _ = state.ask(ids[0], Self.wish(end, caughtUp: true))
        }
    }

    @Test func keptPagesKeepToTheirLimit() {
        var limits = State.Limits()
        limits.keptBytes = 50_000
        var state = State(limits)
        for turn in 0..<100 {
            let id = state.join(owner: ObjectIdentifier(Self.owner), timeout: .seconds(1))
            let after = Int64(turn * 1000)
            for read in state.ask(id, Self.wish(after, new: true)).reads {
                let page = Self.page(after: after, through: after + 3, of: 1_000_000, bytes: 4000)
                _ = state.finished(read, of: state.life, .success(page))
            }
            #expect(state.keptBytes <= limits.keptBytes)
        }
    }

    @Test func readsOfThoseWhoCatchUpAreLimitedAndQueueInOrder() {
        var state = State()
        var reads: [State.Read] = []
        for turn in 0..<20 {
            let id = state.join(owner: ObjectIdentifier(Self.owner), timeout: .seconds(1))
            reads += state.ask(id, Self.wish(Int64(turn * 1000), new: true)).reads
        }
        #expect(reads == (0..<state.limits.catchUpsAtOnce).map { Self.catchUp(Int64($0 * 1000)) })
        let page = Self.page(after: 0, through: 5, of: 1_000_000)
        #expect(state.finished(reads[0], of: state.life, .success(page)).reads == [Self.catchUp(4000)])
    }

    @Test func postgresFiltersForOneAndMemoryForMany() {
        var limits = State.Limits()
        limits.catchUpsAtOnce = 1
        var state = State(limits)
        let ids = (0..<4).map { _ in state.join(owner: ObjectIdentifier(Self.owner), timeout: .seconds(1)) }
        func wish(_ type: String) -> State.Wish {
            State.Wish(after: .start, filter: .eventTypes(type), isNew: true)
        }
        let own = State.CatchUp(after: .start, own: .init(filter: .eventTypes("odd"), limits: PageLimits()))
        #expect(state.ask(ids[0], wish("odd")).reads == [.catchUp(own)])
        // Two more with filters of their own, while there is no room for a read: one for both.
        #expect(state.ask(ids[1], wish("even")).reads.isEmpty)
        #expect(state.ask(ids[2], wish("none")).reads.isEmpty)
        let odd = EventPage(
            events: Self.page(after: 0, through: 6, of: 20).events.filter { $0.type == "odd" },
            scannedTo: Position(6),
            isLast: false,
            epoch: Self.epoch,
            horizon: Position(20)
        )
        let first = state.finished(.catchUp(own), of: state.life, .success(odd))
        #expect(Self.delivered(first) == [ids[0]: [1, 3, 5]])
        #expect(first.reads.first == Self.catchUp(0))
        let second = state.finished(Self.catchUp(0), of: state.life, .success(Self.page(after: 0, through: 6, of: 20)))
        #expect(Self.delivered(second, .eventTypes("even")) == [ids[1]: [2, 4, 6], ids[2]: [2, 4, 6]])
        for case (_, .page(let delivery)) in second.answers {
            let none = delivery.page(matching: .eventTypes("none"), within: PageLimits())
            #expect(none.events.isEmpty && none.scannedTo == Position(6))
        }
    }

    @Test func aNewcomerIsToldOfTheEndOnlyByAReadThatBeganAfterIt() {
        var (state, ids) = Self.live(1)
        let read = state.rung(nil).reads
        let newcomer = state.join(owner: ObjectIdentifier(Self.owner), timeout: .seconds(1))
        #expect(state.ask(newcomer, Self.wish(10, new: true)).reads.isEmpty)
        // This read may have begun before an event that the newcomer's owner knows to be stored.
        let first = state.finished(read[0], of: state.life, .success(Self.page(after: 10, through: 10, of: 10)))
        #expect(first.answers.isEmpty)
        #expect(first.reads == [Self.head(10)])
        let second = state.finished(Self.head(10), of: state.life, .success(Self.page(after: 10, through: 10, of: 10)))
        guard case .page(let delivery)? = second.answers.first?.1 else {
            Issue.record("\(second)")
            return
        }
        #expect(second.answers.map(\.0) == [newcomer])
        #expect(delivery.isLast && delivery.after == Position(10))
        #expect(ids.count == 1)
    }

    @Test func anotherLifeOfTheStoreEmptiesTheFeed() {
        var (state, ids) = Self.live(2)
        let read = state.rung(nil).reads
        let other = Self.page(after: 10, through: 12, of: 12, epoch: UUID())
        let effects = state.finished(read[0], of: state.life, .success(other))
        #expect(effects.answers.count == ids.count)
        for (_, answer) in effects.answers {
            guard case .lookAgain = answer else {
                Issue.record("\(answer)")
                return
            }
        }
        #expect(state.headPosition == nil && state.windowBytes == 0)
        // Asked again, it is read from the table, with the epoch of now.
        let asked = state.ask(ids[0], Self.wish(10, caughtUp: true))
        #expect(asked.reads == [Self.catchUp(10)])
        let told = state.finished(asked.reads[0], of: state.life, .success(other))
        guard case .page(let delivery)? = told.answers.first?.1 else {
            Issue.record("\(told)")
            return
        }
        #expect(delivery.epoch == other.epoch)
    }

    @Test func stoppingOneLeavesTheOthersWaiting() {
        var (state, ids) = Self.live(2)
        let owner = Owner()
        let third = state.join(owner: ObjectIdentifier(owner), timeout: .seconds(1))
        _ = state.ask(third, Self.wish(10, caughtUp: true))
        let stopped = state.stop(owner: ObjectIdentifier(owner))
        #expect(stopped.answers.map(\.0) == [third])
        let read = state.rung(nil).reads
        let effects = state.finished(read[0], of: state.life, .success(Self.page(after: 10, through: 11, of: 11)))
        #expect(Self.delivered(effects) == [ids[0]: [11], ids[1]: [11]])
        guard case (_, .stopped)? = state.ask(third, Self.wish(10, caughtUp: true)).answers.first else {
            Issue.record("a stopped subscriber was served")
            return
        }
    }

    @Test func afterAFailureNothingIsReadUntilSomebodyAsksAgain() {
        struct Outage: Error {}
        var (state, ids) = Self.live(20)
        let read = state.rung(nil).reads
        let failed = state.finished(read[0], of: state.life, .failure(Outage()))
        #expect(failed.answers.count == ids.count && failed.reads.isEmpty)
        for id in ids { #expect(state.rest(id).answers.isEmpty) }
        let (tick, woken) = state.tick()
        #expect(tick == .rest)
        #expect(woken.answers.count == ids.count)
        func askAgain() -> [State.Read] {
            ids.flatMap { id in
                var wish = Self.wish(10, caughtUp: true)
                wish.hadOutage = true
                return state.ask(id, wish).reads
            }
        }
        // As long as it fails, it is tried less and less often.
        for _ in 1...10 {
            let again = askAgain()
            #expect(again == [Self.head(10)])
            #expect(state.finished(again[0], of: state.life, .failure(Outage())).reads.isEmpty)
            for id in ids { _ = state.rest(id) }
            _ = state.tick()
        }
        #expect(state.beat == State.slowestBeat)
        let again = askAgain()
        let over = state.finished(again[0], of: state.life, .success(Self.page(after: 10, through: 10, of: 10)))
        #expect(over.reads == [], "what the failed read was to find, this one has looked for")
        #expect(Self.delivered(over).count == ids.count)
    }

    @Test func theIdlePollReadsOnlyWhereSomethingMayBeNew() {
        var (state, _) = Self.live(1)
        _ = state.tick()
        // Told to look and answered with the horizon of the last read: no transaction was under way, nothing to read.
        var beats: [Duration] = []
        for _ in 1...10 {
            let (tick, effects) = state.tick()
            #expect(tick == .look && effects.reads.isEmpty)
            #expect(state.looked(10).reads.isEmpty)
            beats.append(state.beat)
        }
        #expect(beats.last == State.slowestBeat)
        // The sequence moved: read, and look again soon.
        #expect(state.looked(11).reads == [Self.head(10)])
        #expect(state.beat == State.fastestBeat)
        // It read nothing, because the position is not committed, or is held back. Unchanged is then no proof.
        _ = state.finished(Self.head(10), of: state.life, .success(Self.page(after: 10, through: 10, of: 10)))
        _ = state.tick()
        #expect(state.looked(11).reads == [Self.head(10)])
        // Nor is a sequence that came back lower, after a crash.
        let read = Self.page(after: 10, through: 10, of: 10, horizon: 11)
        #expect(state.finished(Self.head(10), of: state.life, .success(read)).reads.isEmpty)
        #expect(state.looked(9).reads == [Self.head(10)])
    }

    @Test func aHeadThatWasNoEventsPositionIsLeft() {
        var state = State()
        let dreamer = state.join(owner: ObjectIdentifier(Self.owner), timeout: .seconds(1))
        _ = state.ask(dreamer, Self.wish(1_000_000, new: true))
        _ = state.finished(
            Self.catchUp(1_000_000),
            of: state.life,
            .success(Self.page(after: 1_000_000, through: 0, of: 10))
        )
        let other = state.join(owner: ObjectIdentifier(Self.owner), timeout: .seconds(1))
        #expect(state.ask(other, Self.wish(10, new: true)).reads == [Self.catchUp(10)])
        _ = state.finished(Self.catchUp(10), of: state.life, .success(Self.page(after: 10, through: 10, of: 10)))
        #expect(state.headPosition == Position(10))
        #expect(state.ask(other, Self.wish(10, caughtUp: true)).reads.isEmpty)
        #expect(state.rung(nil).reads == [Self.head(10)])
    }

    @Test func whatWasReadForThoseWhoLeftIsNobodys() {
        var (state, ids) = Self.live(1)
        let read = state.rung(nil).reads
        let life = state.life
        state.leave(ids[0])
        #expect(state.isEmpty && state.headPosition == nil)
        let effects = state.finished(read[0], of: life, .success(Self.page(after: 10, through: 12, of: 12)))
        #expect(effects.answers.isEmpty && effects.reads.isEmpty && state.headPosition == nil)
    }
}
