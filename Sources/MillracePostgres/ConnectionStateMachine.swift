internal import DequeModule

/// Decides what a connection does next: what is sent, whom a result belongs to, what an abandoned call costs.
///
/// It knows calls only by number; the connection performs what it decides on the PGconn.
struct ConnectionStateMachine {
    typealias CallID = UInt64

    struct Limits {
        var depth: Int
        var bytes: Int
        var queued: Int
    }

    struct Call: Equatable {
        let id: CallID
        /// Takes the connection out of pipeline mode and has it alone: a script, a COPY.
        let exclusive: Bool
        let bytes: Int
    }

    /// What the server answers, in the order in which it was asked.
    enum Step: Equatable {
        /// The transaction's BEGIN, sent together with its first statement.
        case begin
        /// The preparation of the call's n-th statement.
        case prepare(Int)
        /// The call's n-th statement.
        case execute(Int)
        case sync
    }

    enum Answer: Equatable {
        case result
        case error
        /// Skipped, because a statement before it failed.
        case aborted
        /// All results of the step are there.
        case end
        case sync
    }

    enum Reaction: Equatable {
        /// The answer belongs to this step of this call.
        case take(CallID, Step)
        /// The call is complete.
        case complete(CallID)
        case nothing
        /// The server did not keep to the protocol.
        case violation(String)
    }

    enum Next: Equatable {
        case send(CallID)
        case startExclusive(CallID)
        /// Nothing can be sent before something else happens.
        case nothing
    }

    enum Abandonment: Equatable {
        /// It has ended already, or was never accepted.
        case unknown
        /// It had not been sent.
        case dequeued
        /// It is on the wire; only closing the connection ends it.
        case costsConnection
    }

    private enum Mode: Equatable {
        case pipeline
        case exclusive(CallID)
        case closed
    }

    private struct Flight {
        let call: Call
        var steps: Deque<Step>
    }

    let limits: Limits
    private var mode = Mode.pipeline
    private var queue: Deque<Call> = []
    private var flights: Deque<Flight> = []
    private var bytesInFlight = 0
    /// The call that ``next()`` handed out and whose steps are not yet known.
    private var sending: Call?

    init(limits: Limits) {
        self.limits = limits
    }

    var isClosed: Bool { mode == .closed }
    /// Nothing queued, nothing in flight.
    var isQuiet: Bool { mode == .pipeline && queue.isEmpty && flights.isEmpty }
    var hasFlights: Bool { !flights.isEmpty }
    var exclusiveCall: CallID? {
        if case .exclusive(let id) = mode { id } else { nil }
    }

    /// - Returns: false where the queue is full.
    mutating func enqueue(_ call: Call, first: Bool = false) -> Bool {
        precondition(mode != .closed, "a call was queued on a closed connection")
        guard queue.count < limits.queued else { return false }
        if first { queue.prepend(call) } else { queue.append(call) }
        return true
    }

    var nextIsExclusive: Bool { mode == .pipeline && queue.first?.exclusive == true }

    /// Takes the next call out without sending it.
    mutating func dequeue() -> CallID? {
        mode == .pipeline ? queue.popFirst()?.id : nil
    }

    mutating func next() -> Next {
        precondition(sending == nil, "the call handed out before was not sent")
        guard mode == .pipeline, let call = queue.first else { return .nothing }
        if call.exclusive {
            guard flights.isEmpty else { return .nothing }
            queue.removeFirst()
            mode = .exclusive(call.id)
            return .startExclusive(call.id)
        }
        // A call that is larger than the limit alone goes when nothing else is in flight.
        guard
            flights.isEmpty || (flights.count < limits.depth && bytesInFlight + call.bytes <= limits.bytes)
        else { return .nothing }
        queue.removeFirst()
        sending = call
        return .send(call.id)
    }

    /// The call that ``next()`` handed out is in libpq's buffer; `steps` is what the server will answer.
    mutating func sent(_ id: CallID, _ steps: [Step]) {
        guard let call = sending, call.id == id else { preconditionFailure("a call was sent that was not handed out") }
        precondition(steps.last == .sync, "a call must end with a sync")
        sending = nil
        bytesInFlight += call.bytes
        flights.append(Flight(call: call, steps: Deque(steps)))
    }

    /// A call of the connection's own, sent while nothing else is in flight.
    mutating func sentInternally(_ id: CallID, _ steps: [Step]) {
        precondition(flights.isEmpty && mode == .pipeline, "an internal call was sent among others")
        flights.append(Flight(call: Call(id: id, exclusive: false, bytes: 0), steps: Deque(steps)))
    }

    mutating func received(_ answer: Answer) -> Reaction {
        precondition(mode == .pipeline, "a pipeline's answer was read outside of pipeline mode")
        guard let flight = flights.first, let step = flight.steps.first else {
            return .violation("an answer came to nothing that was asked")
        }
        switch (answer, step) {
        case (.sync, .sync):
            flights[0].steps.removeFirst()
            guard flights[0].steps.isEmpty else { return .nothing }
            bytesInFlight -= flight.call.bytes
            flights.removeFirst()
            return .complete(flight.call.id)
        case (.sync, _), (_, .sync):
            return .violation("the server answered \(answer) where \(step) was due")
        case (.end, _):
            flights[0].steps.removeFirst()
            return .nothing
        case (.result, _), (.error, _), (.aborted, _):
            return .take(flight.call.id, step)
        }
    }

    mutating func exclusiveEnded(_ id: CallID) {
        precondition(mode == .exclusive(id), "a call gave back a connection it did not have")
        mode = .pipeline
    }

    mutating func abandon(_ id: CallID) -> Abandonment {
        if mode == .exclusive(id) || flights.contains(where: { $0.call.id == id }) { return .costsConnection }
        guard let index = queue.firstIndex(where: { $0.id == id }) else { return .unknown }
        queue.remove(at: index)
        return .dequeued
    }

    /// - Returns: every call that had not ended, and whether it had been sent.
    mutating func close() -> [(id: CallID, sent: Bool)] {
        precondition(mode != .closed, "a connection was closed twice")
        var left: [(id: CallID, sent: Bool)] = []
        if let exclusive = exclusiveCall { left.append((exclusive, true)) }
        left += flights.map { ($0.call.id, true) }
        if let sending { left.append((sending.id, true)) }
        left += queue.map { ($0.id, false) }
        mode = .closed
        flights = []
        queue = []
        sending = nil
        bytesInFlight = 0
        return left
    }
}
