import DequeModule
import MillracePostgres
import Synchronization

/// Events of one lane, and how far the log was looked through for them.
struct LanePage: Sendable {
    var events: [RecordedEvent]
    var scannedTo: Position

    /// What its events take in memory.
    var byteCount: Int { events.reduce(0) { $0 + $1.byteCount } }
}

/// What a lane's task waits for: pages of its reader, time to try something again, its end.
final class LaneInbox: Sendable {
    /// Pages that wait to be handled; the reader waits beyond that.
    static let pageLimit = 4

    enum Signal: Sendable {
        case page(LanePage)
        /// Something may have changed, or a time has come.
        case look
        /// The reader has ended with an error.
        case failed(any Error)
        /// Finish what is under way, and end.
        case stop
    }

    private struct State {
        var pages: Deque<LanePage> = []
        var failure: (any Error)?
        var mustLook = false
        var isStopping = false
        var lane: CheckedContinuation<Void, Never>?
        var reader: CheckedContinuation<Void, Never>?
        /// Up to where nothing is left to handle; nil while something is.
        var idleAt: Position?
        /// Which wait a timer belongs to.
        var wait: UInt64 = 0
    }

    private let client: PostgresClient
    private let pageLimit: Int
    private let state = Mutex(State())

    init(client: PostgresClient, pageLimit: Int = LaneInbox.pageLimit) {
        self.client = client
        self.pageLimit = pageLimit
    }

    var isStopping: Bool { state.withLock { $0.isStopping } }

    /// What the lane has looked through without anything under way.
    var idlePosition: Position? { state.withLock { $0.idleAt } }

    func setIdle(at position: Position?) { state.withLock { $0.idleAt = position } }

    // MARK: The reader

    /// Returns when there is room for the next page.
    func put(_ page: LanePage) async {
        deliver { $0.pages.append(page) }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let mayGoOn = state.withLock { state in
                    if state.pages.count < pageLimit || Task.isCancelled { return true }
                    state.reader = continuation
                    return false
                }
                if mayGoOn { continuation.resume() }
            }
        } onCancel: {
            releaseReader()
        }
    }

    func fail(_ error: any Error) { deliver { $0.failure = error } }

    /// Forgets what an earlier reader has brought.
    func clear() {
        state.withLock { state in
            state.pages = []
            state.failure = nil
        }
        releaseReader()
    }

    private func releaseReader() {
        let reader = state.withLock { state in
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume()
    }

    // MARK: The lane

    func look() { deliver { $0.mustLook = true } }
    func stop() { deliver { $0.isStopping = true } }

    private func deliver(_ change: (inout State) -> Void) {
        let lane = state.withLock { state in
            change(&state)
            defer { state.lane = nil }
            return state.lane
        }
        lane?.resume()
    }

    /// What comes first; ``Signal/look`` when the wait is over.
    func next(within wait: Duration?) async -> Signal {
        while true {
            if let signal = take() { return signal }
            await sleep(wait)
            if let signal = take() { return signal }
            if wait != nil { return .look }
        }
    }

    /// A page that is there already.
    func nextPage() -> LanePage? {
        let page = state.withLock { $0.pages.popFirst() }
        if page != nil { releaseReader() }
        return page
    }

    /// Returns whether the wait was left in peace: false where the lane is to end.
    func pause(_ wait: Duration) async -> Bool {
        let end = ContinuousClock.now + wait
        while !isStopping, !Task.isCancelled, ContinuousClock.now < end { await sleep(end - .now) }
        return !isStopping && !Task.isCancelled
    }

    private func take() -> Signal? {
        let signal: Signal? = state.withLock { state in
            if state.isStopping || Task.isCancelled { return .stop }
            if state.mustLook {
                state.mustLook = false
                return .look
            }
            if let page = state.pages.popFirst() { return .page(page) }
            return state.failure.map { .failed($0) }
        }
        if case .page = signal { releaseReader() }
        return signal
    }

    private func sleep(_ wait: Duration?) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let number: UInt64? = state.withLock { state in
                    if state.isStopping || state.mustLook || !state.pages.isEmpty || state.failure != nil
                        || Task.isCancelled
                    {
                        return nil
                    }
                    state.lane = continuation
                    state.wait += 1
                    return state.wait
                }
                guard let number else { return continuation.resume() }
                guard let wait else { return }
                client.schedule(after: wait) { [self] in wake(number) }
            }
        } onCancel: {
            deliver { _ in }
        }
    }

    private func wake(_ number: UInt64) {
        let lane = state.withLock { state in
            guard state.wait == number else { return nil as CheckedContinuation<Void, Never>? }
            defer { state.lane = nil }
            return state.lane
        }
        lane?.resume()
    }
}
