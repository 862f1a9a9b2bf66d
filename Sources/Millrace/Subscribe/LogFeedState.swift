#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Decides, for one process, what is read from the log and who gets it. No effects: ``LogFeed`` does what it says.
///
/// Three ways to a subscriber's next page, tried in this order:
/// - from the *window*: recent pages at the head of the log, read once for everyone who follows live;
/// - from the *kept* pages: what other subscribers that catch up have just read, or what was read ahead for this one;
/// - by a read of its own, which everyone joins who needs the same page.
///
/// Whoever stands at the head waits for the head's next page. The head is read when somebody waits for it, and one page
/// ahead of the fastest; never further, so that nobody's reading is lost to the bounds of the window.
struct LogFeedState: Sendable {
    typealias SubscriberID = UInt64

    struct Limits: Sendable, Hashable {
        var window = PageWindow.Limits()
        /// Pages that are kept from catching up.
        var keptBytes = 16 << 20
        /// Reads of subscribers that catch up which are on their way at the same time; the others wait in line.
        var catchUpsAtOnce = 4
        /// Pages read ahead for subscribers that catch up, on their way or waiting to be asked for.
        var pagesAhead = 8
        /// Pages of the window that make one page of a subscriber.
        var pagesADelivery = 256
        /// A page that is shared.
        var page = PageLimits(events: 1000, scanned: 1000, bytes: 1 << 20)
    }

    /// What a subscriber wants next.
    struct Wish: Sendable {
        var after: Position
        var filter = EventFilter.all
        var limits = PageLimits()
        /// It has been told that it reached the end, and wants to know only when there is more.
        var isCaughtUp = false
        /// It has received nothing yet, so what was known of the end before it came does not count.
        var isNew = false
        /// The last time it asked, PostgreSQL could not be reached: it wants to know that it can be again.
        var hadOutage = false
    }

    /// A read of a page after a position, without a filter for everyone, or with that of one subscriber.
    struct CatchUp: Sendable, Hashable {
        struct Own: Sendable, Hashable {
            let filter: EventFilter
            let limits: PageLimits
        }

        let after: Position
        /// nil: shared.
        let own: Own?
    }

    enum Read: Sendable, Hashable {
        case head(after: Position)
        case catchUp(CatchUp)
    }

    enum Answer: Sendable {
        case page(Delivery)
        /// What was waited for is not to be had there any more, or may be there now: ask again.
        case lookAgain
        case failed(any Error)
        case stopped
        case cancelled
    }

    /// What is to be done now.
    struct Effects: Sendable {
        var answers: [(SubscriberID, Answer)] = []
        var reads: [Read] = []
    }

    enum Tick: Sendable, Hashable {
        case rest
        /// Ask for the sequence's last value.
        case look
    }

    static let fastestBeat = Duration.milliseconds(20)
    static let slowestBeat = Duration.seconds(1)
    /// How many of this process's own announcements are remembered, to know their echoes by.
    static let rememberedAnnouncements = 64

    private enum Waiting {
        /// - lookSince: the first read of the head that may tell it of the end.
        case head(Wish, lookSince: UInt64?)
        case catchUp(CatchUp, Wish, joinedLate: Bool)
        case resting
    }

    private struct Subscriber {
        let owner: ObjectIdentifier
        let timeout: Duration
        var waiting: Waiting?
        var isStopped = false
    }

    private struct Head {
        var position: Position
        var window: PageWindow
        /// The last read reached the horizon.
        var isComplete: Bool
        var horizon: Position
        /// Somebody has got the newest page, so that one more may be read ahead.
        var isClaimed = true
    }

    private struct Flight {
        var waiters: [SubscriberID] = []
        var isStarted = false
    }

    private struct Kept {
        let key: CatchUp
        let page: SharedPage
        /// Whom it was read ahead for, until it has been asked for.
        var reader: SubscriberID?
    }

    let limits: Limits
    private var subscribers: [SubscriberID: Subscriber] = [:]
    private var lastID: SubscriberID = 0
    private var epoch: UUID?
    private var head: Head?
    private var headIsReading = false
    /// Reads of the head that have begun.
    private var headReads: UInt64 = 0
    /// There may be something at or above this position.
    private var hinted: Position?
    private var announced: [Position] = []
    private var flights: [CatchUp: Flight] = [:]
    private var line: [CatchUp] = []
    /// Whom a page is read ahead for.
    private var readers: [CatchUp: SubscriberID] = [:]
    private var kept: [Kept] = []
    private var sizer: PageSizer
    /// Changes whenever everybody has left: what was begun before is nobody's any more.
    private(set) var life: UInt64 = 0
    private(set) var beat = LogFeedState.fastestBeat
    private var headReadsAtTick: UInt64 = 0
    private var lastLatest: Int64?

    init(_ limits: Limits = Limits()) {
        self.limits = limits
        sizer = PageSizer(bytes: limits.page.bytes)
    }

    private static let somewhere = Position(Int64.max)

    // MARK: What is known

    var isEmpty: Bool { subscribers.isEmpty }
    var windowBytes: Int { head?.window.byteCount ?? 0 }
    var windowStart: Position? { head.map { $0.window.start ?? $0.position } }
    var headPosition: Position? { head?.position }
    var keptBytes: Int { kept.reduce(0) { $0 + $1.page.byteCount } }

    /// The longest that a subscriber allows a page: one that allows less must not make the others' pages fail.
    var timeout: Duration? { subscribers.values.map(\.timeout).max() }

    /// How much a read asks for, by the size of the events seen so far.
    func limits(of read: Read) -> PageLimits {
        switch read {
        case .head: sizer.limits(within: limits.page)
        case .catchUp(let catchUp): sizer.limits(within: catchUp.own?.limits ?? limits.page)
        }
    }

    // MARK: Coming and going

    mutating func join(owner: ObjectIdentifier, timeout: Duration) -> SubscriberID {
        lastID += 1
        subscribers[lastID] = Subscriber(owner: owner, timeout: timeout)
        return lastID
    }

    mutating func leave(_ id: SubscriberID) {
        release(id)
        subscribers[id] = nil
        kept.removeAll { $0.reader == id }
        guard subscribers.isEmpty else { return }
        head = nil
        headIsReading = false
        hinted = nil
        flights = [:]
        line = []
        kept = []
        readers = [:]
        lastLatest = nil
        beat = LogFeedState.fastestBeat
        life += 1
    }

    mutating func stop(owner: ObjectIdentifier) -> Effects {
        var effects = Effects()
        for (id, subscriber) in subscribers where subscriber.owner == owner {
            subscribers[id]?.isStopped = true
            if subscriber.waiting != nil { effects.answers.append((id, .stopped)) }
            release(id)
        }
        return effects
    }

    /// A subscriber no longer waits; what was being read for it is read to its end, since ending it costs a connection.
    mutating func cancel(_ id: SubscriberID) -> Effects {
        var effects = Effects()
        if subscribers[id]?.waiting != nil { effects.answers.append((id, .cancelled)) }
        release(id)
        return effects
    }

    private mutating func release(_ id: SubscriberID) {
        if case .catchUp(let key, _, _) = subscribers[id]?.waiting {
            flights[key]?.waiters.removeAll { $0 == id }
            if let flight = flights[key], flight.waiters.isEmpty, !flight.isStarted {
                flights[key] = nil
                readers[key] = nil
                line.removeAll { $0 == key }
            }
        }
        subscribers[id]?.waiting = nil
    }

    // MARK: Asking

    /// What there is for a subscriber now; without an answer among the effects, it waits for one.
    mutating func ask(_ id: SubscriberID, _ wish: Wish) -> Effects {
        var effects = Effects()
        guard let subscriber = subscribers[id], !subscriber.isStopped else {
            effects.answers.append((id, .stopped))
            return effects
        }
        precondition(subscriber.waiting == nil, "two tasks iterate over the same subscription")
        if let delivery = fromWindow(wish) {
            effects.answers.append((id, .page(delivery)))
        } else if let delivery = fromKept(id, wish) {
            effects.answers.append((id, .page(delivery)))
            readAhead(id, wish, after: delivery)
        } else if let head, wish.after == head.position || (wish.isCaughtUp && wish.after > head.position) {
            // It was told of events that the head has not reached, so there is something.
            if wish.after > head.position { hinted = LogFeedState.somewhere }
            let lookSince = look(for: wish)
            subscribers[id]?.waiting = .head(wish, lookSince: lookSince)
        } else {
            catchUp(id, wish)
        }
        effects.reads += startReads()
        return effects
    }

    /// Waits until it is worth trying again, after an outage.
    mutating func rest(_ id: SubscriberID) -> Effects {
        guard let subscriber = subscribers[id], !subscriber.isStopped else {
            return Effects(answers: [(id, .stopped)])
        }
        precondition(subscriber.waiting == nil, "two tasks iterate over the same subscription")
        subscribers[id]?.waiting = .resting
        return Effects()
    }

    /// Which read of the head may tell it of the end: for a newcomer, none that has begun already.
    private func look(for wish: Wish) -> UInt64? {
        guard !wish.isCaughtUp || wish.hadOutage else { return nil }
        return headIsReading && !wish.isNew ? headReads : headReads + 1
    }

    private mutating func fromWindow(_ wish: Wish) -> Delivery? {
        guard let head, let epoch, wish.after < head.position else { return nil }
        let wanted = wish.filter.wantsEverything ? wish.limits.events : wish.limits.scanned
        let pages = head.window.pages(after: wish.after, events: wanted, atMost: limits.pagesADelivery)
        guard let last = pages.last else { return nil }
        let reachesHead = last.page.scannedTo == head.position
        if reachesHead { self.head?.isClaimed = true }
        return Delivery(
            pages: pages,
            after: wish.after,
            isLast: reachesHead && head.isComplete && !wish.isNew,
            horizon: head.horizon,
            epoch: epoch
        )
    }

    private mutating func fromKept(_ id: SubscriberID, _ wish: Wish) -> Delivery? {
        guard let epoch else { return nil }
        let own = CatchUp(after: wish.after, own: .init(filter: wish.filter, limits: wish.limits))
        let found = kept.firstIndex { entry in
            entry.key.own == nil ? entry.page.covers(wish.after) : entry.key == own
        }
        // What was read ahead for it and is not what it asked for will not be asked for later either.
        guard let found else {
            kept.removeAll { $0.reader == id }
            return nil
        }
        let entry = kept[found]
        if entry.key.own != nil { kept.remove(at: found) } else { kept[found].reader = nil }
        return Delivery(
            pages: entry.key.own == nil ? [entry.page] : [],
            after: wish.after,
            filtered: entry.key.own == nil ? nil : entry.page.page,
            isLast: false,
            horizon: entry.page.page.horizon,
            epoch: epoch
        )
    }

    private mutating func catchUp(_ id: SubscriberID, _ wish: Wish) {
        let key = key(for: wish)
        let joinedLate = flights[key]?.isStarted == true && wish.isNew
        if flights[key] == nil {
            flights[key] = Flight()
            line.append(key)
        }
        flights[key]?.waiters.append(id)
        subscribers[id]?.waiting = .catchUp(key, wish, joinedLate: joinedLate)
    }

    /// PostgreSQL filters for a subscriber that is alone at its place; several there read once and filter in memory.
    private mutating func key(for wish: Wish) -> CatchUp {
        let shared = CatchUp(after: wish.after, own: nil)
        if wish.filter.wantsEverything || flights[shared] != nil { return shared }
        let own = CatchUp(after: wish.after, own: .init(filter: wish.filter, limits: wish.limits))
        if flights[own] != nil { return own }
        let others = line.filter { $0.after == wish.after && flights[$0]?.isStarted == false }
        guard !others.isEmpty else { return own }
        var merged = Flight()
        for other in others {
            readers[other] = nil
            for waiter in flights.removeValue(forKey: other)?.waiters ?? [] {
                guard case .catchUp(_, let wish, _) = subscribers[waiter]?.waiting else { continue }
                subscribers[waiter]?.waiting = .catchUp(shared, wish, joinedLate: false)
                merged.waiters.append(waiter)
            }
        }
        line.removeAll { others.contains($0) }
        flights[shared] = merged
        line.append(shared)
        return shared
    }

    // MARK: Reading

    private mutating func startReads() -> [Read] {
        var reads: [Read] = []
        while !line.isEmpty, flights.values.count(where: \.isStarted) < limits.catchUpsAtOnce {
            let next = line.removeFirst()
            flights[next]?.isStarted = true
            reads.append(.catchUp(next))
        }
        if let head, headIsDue(head) {
            headIsReading = true
            headReads += 1
            hinted = nil
            reads.append(.head(after: head.position))
        }
        return reads
    }

    private func headIsDue(_ head: Head) -> Bool {
        guard !headIsReading else { return false }
        var isAwaited = false
        for subscriber in subscribers.values {
            guard case .head(_, let lookSince) = subscriber.waiting else { continue }
            isAwaited = true
            if let lookSince, lookSince > headReads { return true }
        }
        return (isAwaited || head.isClaimed) && (hinted != nil || !head.isComplete)
    }

    private mutating func readAhead(_ id: SubscriberID, _ wish: Wish, after delivery: Delivery) {
        let page = delivery.filtered ?? delivery.pages.last?.page
        guard let page, !delivery.isLast, line.isEmpty, flights.count < limits.catchUpsAtOnce else { return }
        let own = delivery.filtered.map { _ in CatchUp.Own(filter: wish.filter, limits: wish.limits) }
        let key = CatchUp(after: page.scannedTo, own: own)
        let isAtHead = head.map { ($0.window.start ?? $0.position) <= key.after } ?? page.isLast
        let ahead = kept.count { $0.reader != nil } + flights.values.count { $0.waiters.isEmpty }
        let isThere = kept.contains { $0.key == key || $0.key.own == nil && $0.page.covers(key.after) }
        guard !isAtHead, !isThere, flights[key] == nil, ahead < limits.pagesAhead else { return }
        flights[key] = Flight()
        line.append(key)
        readers[key] = id
    }

    mutating func finished(_ read: Read, of life: UInt64, _ result: Result<EventPage, any Error>) -> Effects {
        var effects = Effects()
        guard life == self.life else { return effects }
        if case .success(let page) = result {
            if page.epoch != epoch { begin(page.epoch, &effects) }
            sizer.note(page)
        }
        switch read {
        case .head(let after): finishedHead(after, result, &effects)
        case .catchUp(let key): finishedCatchUp(key, result, &effects)
        }
        effects.reads += startReads()
        return effects
    }

    /// Positions mean other events than before.
    private mutating func begin(_ epoch: UUID, _ effects: inout Effects) {
        self.epoch = epoch
        guard head != nil || !kept.isEmpty else { return }
        head = nil
        kept = []
        for (id, subscriber) in subscribers {
            guard case .head = subscriber.waiting else { continue }
            subscribers[id]?.waiting = nil
            effects.answers.append((id, .lookAgain))
        }
    }

    private mutating func finishedHead(
        _ after: Position,
        _ result: Result<EventPage, any Error>,
        _ effects: inout Effects
    ) {
        headIsReading = false
        let page: EventPage
        switch result {
        case .success(let success): page = success
        case .failure(let error):
            hinted = LogFeedState.somewhere
            for (id, subscriber) in subscribers {
                guard case .head = subscriber.waiting else { continue }
                subscribers[id]?.waiting = nil
                effects.answers.append((id, .failed(error)))
            }
            // Read again when somebody asks again, not at once; and a read that failed is no sign of life to the beat.
            head?.isClaimed = false
            headReadsAtTick = headReads
            return
        }
        // The head has moved elsewhere, or belongs to another life of the store.
        guard head?.position == after, page.epoch == epoch else { return }
        if page.scannedTo > after {
            head?.window.append(SharedPage(after: after, page: page))
            head?.position = page.scannedTo
            head?.isClaimed = false
        }
        head?.isComplete = page.isLast
        head?.horizon = page.horizon
        if let hinted, hinted <= page.scannedTo { self.hinted = nil }
        serveHead(&effects)
    }

    private mutating func serveHead(_ effects: inout Effects) {
        for (id, subscriber) in subscribers {
            guard case .head(let wish, let lookSince) = subscriber.waiting, let head, let epoch else { continue }
            if wish.after < head.position {
                subscribers[id]?.waiting = nil
                var known = wish
                known.isNew = wish.isNew && lookSince.map { $0 > headReads } ?? false
                effects.answers.append((id, fromWindow(known).map { .page($0) } ?? .lookAgain))
            } else if let lookSince, lookSince <= headReads, head.isComplete {
                subscribers[id]?.waiting = nil
                let nothing = Delivery(pages: [], after: wish.after, isLast: true, horizon: head.horizon, epoch: epoch)
                effects.answers.append((id, .page(nothing)))
            }
        }
    }

    private mutating func finishedCatchUp(
        _ key: CatchUp,
        _ result: Result<EventPage, any Error>,
        _ effects: inout Effects
    ) {
        guard let flight = flights.removeValue(forKey: key) else { return }
        let reader = readers.removeValue(forKey: key)
        switch result {
        case .failure(let error):
            for id in flight.waiters {
                subscribers[id]?.waiting = nil
                effects.answers.append((id, .failed(error)))
            }
        case .success(let page):
            let shared = SharedPage(after: key.after, page: page)
            if page.isLast { foundEnd(key, shared) }
            if page.scannedTo > key.after && (key.own == nil || flight.waiters.isEmpty) {
                keep(Kept(key: key, page: shared, reader: flight.waiters.isEmpty ? reader : nil))
            }
            for id in flight.waiters { deliver(shared, of: key, to: id, &effects) }
        }
    }

    private mutating func deliver(
        _ shared: SharedPage,
        of key: CatchUp,
        to id: SubscriberID,
        _ effects: inout Effects
    ) {
        guard case .catchUp(_, let wish, let joinedLate) = subscribers[id]?.waiting else { return }
        subscribers[id]?.waiting = nil
        let delivery = Delivery(
            pages: key.own == nil && shared.page.scannedTo > key.after ? [shared] : [],
            after: wish.after,
            filtered: key.own == nil ? nil : shared.page,
            isLast: shared.page.isLast && !joinedLate,
            horizon: shared.page.horizon,
            epoch: shared.page.epoch
        )
        effects.answers.append((id, .page(delivery)))
        readAhead(id, wish, after: delivery)
    }

    /// A subscriber that caught up has found the end of the log: the head is there, unless it is already further, or so near
    /// that it is read on to there, or on its way with somebody pulling it.
    private mutating func foundEnd(_ key: CatchUp, _ shared: SharedPage) {
        let end = shared.page.scannedTo
        if let head {
            let start = head.window.start ?? head.position
            let isAwaited = subscribers.values.contains { subscriber in
                if case .head = subscriber.waiting { true } else { false }
            }
            if end > head.position { hinted = LogFeedState.somewhere }
            // Below the start there is an end only where the start was no event's position, but one that a consumer made up.
            let isFarAhead = end.rawValue - head.position.rawValue > Int64(limits.window.events)
            guard end < start || isFarAhead && !isAwaited && !headIsReading else { return }
        }
        var window = PageWindow(limits.window)
        if key.own == nil && end > key.after { window.append(shared) }
        head = Head(position: end, window: window, isComplete: true, horizon: shared.page.horizon)
    }

    private mutating func keep(_ entry: Kept) {
        if let reader = entry.reader, subscribers[reader] == nil { return }
        kept.append(entry)
        var bytes = keptBytes
        while bytes > limits.keptBytes && kept.count > 1 {
            bytes -= kept.removeFirst().page.byteCount
        }
    }

    // MARK: Waking up

    /// This process has stored something.
    mutating func announce(_ position: Position) -> Effects {
        guard !subscribers.isEmpty else { return Effects() }
        if position > .start {
            announced.append(position)
            if announced.count > LogFeedState.rememberedAnnouncements { announced.removeFirst() }
        }
        return hint(position)
    }

    /// The doorbell rang, here or elsewhere. nil: hints may have been lost.
    mutating func rung(_ position: Position?) -> Effects {
        // The echo of an announcement says nothing new where the head has passed it. Of anybody else's ring that is not
        // certain: one ring may stand for several, and for some whose position is not known.
        let echo = position.flatMap { announced.contains($0) ? $0 : nil }
        var effects = hint(echo ?? .start)
        wakeResting(&effects)
        return effects
    }

    private mutating func hint(_ position: Position) -> Effects {
        if position > .start, let head, position <= head.position { return Effects() }
        hinted = max(hinted ?? .start, position > .start ? position : LogFeedState.somewhere)
        return Effects(reads: startReads())
    }

    private mutating func wakeResting(_ effects: inout Effects) {
        for (id, subscriber) in subscribers {
            guard case .resting = subscriber.waiting else { continue }
            subscribers[id]?.waiting = nil
            effects.answers.append((id, .lookAgain))
        }
    }

    /// The beat of the poll.
    mutating func tick() -> (Tick, Effects) {
        var effects = Effects()
        wakeResting(&effects)
        let hasRead = headReads != headReadsAtTick
        headReadsAtTick = headReads
        beat = hasRead ? LogFeedState.fastestBeat : min(beat * 2, LogFeedState.slowestBeat)
        let isAwaited = subscribers.values.contains { subscriber in
            if case .head = subscriber.waiting { true } else { false }
        }
        return (isAwaited && !hasRead && !headIsReading ? .look : .rest, effects)
    }

    /// What the look found; nil: PostgreSQL could not be asked.
    ///
    /// Nothing can be new where the sequence has not moved since a complete read whose horizon was the sequence's last value: no
    /// transaction was under way then. Otherwise one may have ended meanwhile without a word, or the server was restarted.
    mutating func looked(_ latest: Int64?) -> Effects {
        if latest != lastLatest { beat = LogFeedState.fastestBeat }
        lastLatest = latest
        guard let head, latest != head.horizon.rawValue || !head.isComplete else { return Effects() }
        hinted = LogFeedState.somewhere
        let reads = startReads()
        // A read for a look is no sign of life: the beat goes on slowing down.
        headReadsAtTick = headReads
        return Effects(reads: reads)
    }
}
