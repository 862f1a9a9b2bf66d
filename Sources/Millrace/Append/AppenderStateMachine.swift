import DequeModule
import MillracePostgres

/// Decides which requests share a batch, when a batch is sent, sent again or divided, and who has to wait.
///
/// It performs nothing: the ``Appender`` sends what ``nextBatch(now:)`` hands out and reports how that ended.
struct AppenderStateMachine {
    typealias TicketID = UInt64
    typealias BatchID = UInt64

    struct Batch: Equatable {
        let id: BatchID
        let tickets: [AppenderTicket]

        var byteCount: Int { tickets.reduce(0) { $0 + $1.byteCount } }
    }

    enum Admission: Equatable {
        /// It is answered in its time.
        case accepted
        /// As many callers as may wait do so already.
        case refused(waiting: Int)
    }

    /// What a batch's failure means to its requests.
    enum Verdict: Equatable {
        /// It is sent again, after ``waited(_:)``.
        case resend(after: Duration)
        /// One of its requests is the cause: its halves are batches of their own now.
        case divided
        /// Nothing of these was stored.
        case refused([TicketID])
        /// These are stored, or they are not.
        case unknown([TicketID])
    }

    private struct Flight {
        let batch: Batch
        /// Failures for another transaction's sake.
        var conflicts = 0
        var losses = 0
        /// When an answer was lost for the first time: from then on nothing is known of what is stored.
        var lostAt: ContinuousClock.Instant?
        var sentAt: ContinuousClock.Instant?
        /// Others do not wait for it any more.
        var isOverdue = false
    }

    let limits: AppenderLimits
    private var lastBatch: BatchID = 0
    /// Those that may be sent, in the order of their coming.
    private var queue: Deque<AppenderTicket> = []
    private var queuedBytes = 0
    private var queuedWeight = 0
    /// Those for whom the queue has no room.
    private var line: Deque<AppenderTicket> = []
    /// Handed out, or waiting to be sent again: each takes a place of ``AppenderLimits/batchesInFlight``.
    private var flights: [BatchID: Flight] = [:]
    /// Those of `flights` to hand out again.
    private var ready: Deque<BatchID> = []
    /// What is left of batches that were refused as a whole.
    private var parts: Deque<Flight> = []

    init(limits: AppenderLimits) {
        precondition(limits.batchesInFlight > 0, "an appender needs a batch to send")
        precondition(limits.batchRequests > 0 && limits.batchEvents > 0, "a batch needs room for a request")
        self.limits = limits
    }

    var queuedCount: Int { queue.count }
    var waitingCount: Int { line.count }
    var isIdle: Bool { queue.isEmpty && line.isEmpty && flights.isEmpty && parts.isEmpty }

    // MARK: Requests

    mutating func enqueue(_ ticket: AppenderTicket) -> Admission {
        // Nobody overtakes those who wait for room, or a large request would wait for ever.
        if line.isEmpty, hasRoom(for: ticket) {
            queue.append(ticket)
            count(ticket, 1)
            return .accepted
        }
        guard line.count < limits.waitingCallers else { return .refused(waiting: line.count) }
        line.append(ticket)
        return .accepted
    }

    /// - Returns: whether it had not been handed out, and now never will be.
    mutating func leave(_ id: TicketID) -> Bool {
        if let index = queue.firstIndex(where: { $0.id == id }) {
            count(queue.remove(at: index), -1)
            letIn()
            return true
        }
        guard let index = line.firstIndex(where: { $0.id == id }) else { return false }
        line.remove(at: index)
        letIn()
        return true
    }

    private func hasRoom(for ticket: AppenderTicket) -> Bool {
        if queue.isEmpty { return true }
        return queue.count < limits.queuedRequests && queuedBytes + ticket.byteCount <= limits.queuedBytes
    }

    private mutating func letIn() {
        while let ticket = line.first, hasRoom(for: ticket) {
            line.removeFirst()
            queue.append(ticket)
            count(ticket, 1)
        }
    }

    private mutating func count(_ ticket: AppenderTicket, _ sign: Int) {
        queuedBytes += sign * ticket.byteCount
        queuedWeight += sign * ticket.weight
    }

    /// Everyone who is not handed out yet, for an error that all of them would meet.
    private mutating func takeEveryone() -> [TicketID] {
        let everyone = parts.flatMap { $0.batch.tickets.map(\.id) } + queue.map(\.id) + line.map(\.id)
        parts = []
        queue = []
        line = []
        queuedBytes = 0
        queuedWeight = 0
        return everyone
    }

    // MARK: Batches

    /// The batch to send now, if there is one and a place for it.
    mutating func nextBatch(now: ContinuousClock.Instant) -> Batch? {
        guard var flight = nextFlight() else { return nil }
        flight.sentAt = now
        flights[flight.batch.id] = flight
        return flight.batch
    }

    private mutating func nextFlight() -> Flight? {
        if let id = ready.popFirst() { return flights[id] }
        guard flights.count < limits.batchesInFlight else { return nil }
        if let part = parts.popFirst() { return part }
        guard !queue.isEmpty, isWorthABatch else { return nil }
        let tickets = gather()
        return tickets.isEmpty ? nil : Flight(batch: Batch(id: nextID(), tickets: tickets))
    }

    private var isWorthABatch: Bool {
        flights.values.allSatisfy(\.isOverdue) || queuedWeight >= limits.companionEvents
            || queuedBytes >= limits.companionBytes
    }

    /// Looks for batches that are overdue; ``nextBatch(now:)`` may have one after it.
    /// - Returns: when to look again, where there is anything to look after.
    mutating func look(now: ContinuousClock.Instant) -> Duration? {
        var next: Duration?
        for (id, flight) in flights where !flight.isOverdue {
            guard let sentAt = flight.sentAt else { continue }
            let left = limits.patience - sentAt.duration(to: now)
            if left > .zero { next = min(next ?? left, left) } else { flights[id]?.isOverdue = true }
        }
        return next
    }

    private mutating func nextID() -> BatchID {
        lastBatch += 1
        return lastBatch
    }

    /// Takes from the queue what one transaction may carry. The first goes in any case, unless it has to wait for a batch
    /// that is overdue: it would only wait on the server, and hold up whoever shares its transaction.
    ///
    /// A request whose fate depends on another's would make the server decide the batch's requests one after the other, so
    /// it is left for the next batch; there it is the first.
    private mutating func gather() -> [AppenderTicket] {
        var batch = GatheredBatch()
        var passedOver: [AppenderTicket] = []
        for flight in flights.values where flight.isOverdue { batch.avoid(flight.batch.tickets) }
        while let ticket = queue.first, batch.hasRoom(for: ticket, limits) {
            if batch.isEntangled(with: ticket) {
                guard passedOver.count < limits.passedOver else { break }
                passedOver.append(ticket)
            } else {
                batch.add(ticket)
                count(ticket, -1)
            }
            queue.removeFirst()
        }
        queue.prepend(contentsOf: passedOver)
        letIn()
        return batch.tickets
    }

    mutating func succeeded(_ id: BatchID) {
        guard flights.removeValue(forKey: id) != nil else { preconditionFailure("a batch ended that was not sent") }
    }

    /// The wait after ``Verdict/resend(after:)`` is over.
    mutating func waited(_ id: BatchID) {
        precondition(flights[id] != nil, "a batch waited that was not sent")
        ready.append(id)
    }

    mutating func failed(_ id: BatchID, _ error: PostgresError, now: ContinuousClock.Instant) -> Verdict {
        guard var flight = flights[id] else { preconditionFailure("a batch failed that was not sent") }
        let tickets = flight.batch.tickets
        switch AppenderFailure(error) {
        case .refused:
            if let lostAt = flight.lostAt, !AppenderFailure.isAboutContent(error) {
                flight.losses += 1
                return resend(flight, lostAt, now)
            }
            flight.conflicts += 1
            if let pause = limits.retry.wait(afterFailure: flight.conflicts, error) {
                return wait(with: flight, for: pause)
            }
            flights[id] = nil
            guard tickets.count > 1, AppenderFailure.isAboutOneRequest(error) else {
                return .refused(tickets.map(\.id))
            }
            divide(flight)
            return .divided
        case .lost:
            flight.losses += 1
            let lostAt = flight.lostAt ?? now
            flight.lostAt = lostAt
            return resend(flight, lostAt, now)
        case .timedOut:
            flights[id] = nil
            return .unknown(tickets.map(\.id))
        case .notSent:
            guard let lostAt = flight.lostAt else {
                flights[id] = nil
                return .refused(tickets.map(\.id) + takeEveryone())
            }
            flight.losses += 1
            if case .clientClosed = error { return giveUp(flight) }
            return resend(flight, lostAt, now)
        }
    }

    private mutating func resend(
        _ flight: Flight,
        _ lostAt: ContinuousClock.Instant,
        _ now: ContinuousClock.Instant
    ) -> Verdict {
        guard flight.losses <= limits.resends, lostAt.duration(to: now) < limits.resendTime else {
            return giveUp(flight)
        }
        return wait(with: flight, for: limits.resendBackoff.delay(afterFailure: flight.losses))
    }

    /// It keeps its place, but nobody waits for it.
    private mutating func wait(with flight: Flight, for wait: Duration) -> Verdict {
        flights[flight.batch.id] = flight
        flights[flight.batch.id]?.isOverdue = true
        return .resend(after: wait)
    }

    private mutating func giveUp(_ flight: Flight) -> Verdict {
        flights[flight.batch.id] = nil
        return .unknown(flight.batch.tickets.map(\.id))
    }

    /// Ends, because each half is smaller and a single request is not divided: at most twice as many batches as requests.
    private mutating func divide(_ flight: Flight) {
        let tickets = flight.batch.tickets
        let middle = tickets.count / 2
        for half in [tickets[..<middle], tickets[middle...]] {
            var part = Flight(batch: Batch(id: nextID(), tickets: Array(half)))
            part.lostAt = flight.lostAt
            part.losses = flight.losses
            parts.append(part)
        }
    }
}

/// A batch while it is put together.
private struct GatheredBatch {
    var tickets: [AppenderTicket] = []
    private var events = 0
    private var bytes = 0
    /// The streams of `tickets`, and whether one expects something of them; empty as long as none expects anything.
    private var streams: [StreamID: Bool] = [:]
    /// Streams that nobody may touch.
    private var avoided: Set<StreamID> = []

    mutating func avoid(_ tickets: [AppenderTicket]) {
        for ticket in tickets {
            for entry in ticket.request.entries { avoided.insert(entry.stream) }
            for expectation in ticket.expectations { avoided.insert(expectation.stream) }
        }
    }

    func hasRoom(for ticket: AppenderTicket, _ limits: AppenderLimits) -> Bool {
        if tickets.isEmpty { return true }
        return tickets.count < limits.batchRequests && events + ticket.weight <= limits.batchEvents
            && bytes + ticket.byteCount <= limits.batchBytes
    }

    func isEntangled(with ticket: AppenderTicket) -> Bool {
        if !avoided.isEmpty,
            ticket.request.entries.contains(where: { avoided.contains($0.stream) })
                || ticket.expectations.contains(where: { avoided.contains($0.stream) })
        {
            return true
        }
        if streams.isEmpty {
            return !ticket.expectations.isEmpty
                && tickets.contains { earlier in
                    earlier.request.entries.contains { ticket.request.expectations[$0.stream] != nil }
                }
        }
        return ticket.expectations.contains { streams[$0.stream] != nil }
            || ticket.request.entries.contains { streams[$0.stream] == true }
    }

    mutating func add(_ ticket: AppenderTicket) {
        if streams.isEmpty, !ticket.expectations.isEmpty { for earlier in tickets { note(earlier) } }
        tickets.append(ticket)
        events += ticket.weight
        bytes += ticket.byteCount
        if !ticket.expectations.isEmpty || !streams.isEmpty { note(ticket) }
    }

    private mutating func note(_ ticket: AppenderTicket) {
        for entry in ticket.request.entries where streams[entry.stream] == nil { streams[entry.stream] = false }
        for expectation in ticket.expectations { streams[expectation.stream] = true }
    }
}

/// What an error says about the batch that met it.
enum AppenderFailure: Equatable {
    /// The server rolled it back.
    case refused
    /// The connection ended with it on the way.
    case lost
    /// It took longer than the client allows.
    case timedOut
    /// The server never saw it.
    case notSent

    init(_ error: PostgresError) {
        switch error {
        case .server(let server): self = server.sqlState == .transactionResolutionUnknown ? .lost : .refused
        case .connectionLost, .outcomeUnknown, .cancelled: self = .lost
        case .timedOut: self = .timedOut
        case .cannotConnect, .poolExhausted, .acquireTimedOut, .clientClosed: self = .notSent
        case .decoding, .misuse: self = .refused
        }
    }

    /// Whether it tells that a batch whose answer was lost was not stored then either. A full disk or a server that has
    /// become read-only tells only of now.
    static func isAboutContent(_ error: PostgresError) -> Bool {
        guard let state = error.sqlState else { return false }
        switch state.errorClass {
        case "22", "54", "MR": return true
        default: return false
        }
    }

    /// Whether another request of the batch may fare better. What concerns the session, the schema or the rights of the
    /// user concerns all alike.
    static func isAboutOneRequest(_ error: PostgresError) -> Bool {
        guard let state = error.sqlState else { return false }
        switch state.errorClass {
        case "08", "25", "28", "3D", "3F", "42": return false
        default: return true
        }
    }
}
