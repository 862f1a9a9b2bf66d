internal import HeapModule
internal import Synchronization

#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// One thread of the process that polls all sockets and is the executor of all connection actors.
///
/// A connection's actor therefore runs where its socket is polled, and work on it needs no lock. Nothing may block here:
/// what blocks (connecting, cancelling) has threads of its own, and callers' closures run in their own tasks.
///
/// `@unchecked Sendable`: `inbox` is a mutex; `sources`, `timers` and the buffers are touched by the loop's thread only.
final class PollLoop: SerialExecutor, @unchecked Sendable {
    /// Started at the first connection.
    static let shared = PollLoop()

    /// Jobs run in one turn before the sockets are looked at again.
    static let maximumJobsPerTurn = 256

    private enum Work {
        case job(UnownedJob)
        case action(@Sendable () -> Void)
    }

    private struct Inbox: ~Copyable {
        var work: [Work] = []
        /// Whether the thread is in poll, or about to be: only then does new work need the wake pipe.
        var asleep = false
    }

    private let inbox = Mutex(Inbox())
    private let thread = Atomic<UInt>(0)
    private let wakeRead: Int32
    private let wakeWrite: Int32

    private var turn: [Work] = []
    private var turnOffset = 0
    private var sources: [PollSource] = []
    private var descriptors: [pollfd] = []
    private var polled: [PollSource] = []
    private var timers = Heap<PollTimer>()
    private var cancelledTimers = 0

    private init() {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { fatalError("no pipe for the poll loop: errno \(errno)") }
        (wakeRead, wakeWrite) = (ends[0], ends[1])
        for end in ends {
            _ = fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        startThread(named: "millrace-poll") { [unowned self] in run() }
    }

    // MARK: From any thread

    func enqueue(_ job: consuming ExecutorJob) {
        add(.job(UnownedJob(job)))
    }

    /// Runs `action` on the loop's thread, after everything that was submitted before.
    func submit(_ action: @escaping @Sendable () -> Void) {
        add(.action(action))
    }

    private func add(_ work: Work) {
        let wake = inbox.withLock { inbox in
            inbox.work.append(work)
            defer { inbox.asleep = false }
            return inbox.asleep
        }
        if wake {
            var byte: UInt8 = 0
            // A full pipe wakes as well as one byte more.
            _ = write(wakeWrite, &byte, 1)
        }
    }

    var isCurrentThread: Bool { thread.load(ordering: .acquiring) == currentThread() }

    func isSameExclusiveExecutionContext(other: PollLoop) -> Bool { self === other }

    func checkIsolated() {
        precondition(isCurrentThread, "a connection was touched outside of the poll loop's thread")
    }

    // MARK: On the loop's thread

    func add(_ source: PollSource) {
        checkIsolated()
        sources.append(source)
    }

    func remove(_ source: PollSource) {
        checkIsolated()
        source.interest = 0
        source.removed = true
        sources.removeAll { $0 === source }
    }

    /// Runs `action` once at `deadline`, unless the timer is cancelled before.
    @discardableResult
    func schedule(at deadline: ContinuousClock.Instant, _ action: @escaping () -> Void) -> PollTimer {
        checkIsolated()
        let timer = PollTimer(deadline: deadline, action: action)
        timers.insert(timer)
        return timer
    }

    func cancel(_ timer: PollTimer) {
        checkIsolated()
        guard timer.action != nil else { return }
        timer.action = nil
        cancelledTimers += 1
        // Most timers are cancelled long before they are due; without this they would pile up until then.
        if cancelledTimers > 1024, cancelledTimers > timers.count / 2 {
            timers = Heap(timers.unordered.filter { $0.action != nil })
            cancelledTimers = 0
        }
    }

    private func run() {
        thread.store(currentThread(), ordering: .releasing)
        while true {
            runJobs()
            runTimers()
            pollSources()
        }
    }

    private func runJobs() {
        if turnOffset == turn.count {
            turn.removeAll(keepingCapacity: true)
            turnOffset = 0
            inbox.withLock { swap(&$0.work, &turn) }
        }
        let end = min(turn.count, turnOffset + PollLoop.maximumJobsPerTurn)
        while turnOffset < end {
            let work = turn[turnOffset]
            turnOffset += 1
            switch work {
            case .job(let job): job.runSynchronously(on: asUnownedSerialExecutor())
            case .action(let action): action()
            }
        }
    }

    private func runTimers() {
        guard !timers.isEmpty else { return }
        let now = ContinuousClock.now
        while let timer = timers.min, timer.action == nil || timer.deadline <= now {
            timers.removeMin()
            guard let action = timer.action else {
                cancelledTimers -= 1
                continue
            }
            timer.action = nil
            action()
        }
    }

    private func pollSources() {
        descriptors.removeAll(keepingCapacity: true)
        polled.removeAll(keepingCapacity: true)
        descriptors.append(pollfd(fd: wakeRead, events: Int16(POLLIN), revents: 0))
        // poll reports a hang-up even where nothing was asked for: a source without interest is left out.
        for source in sources where source.interest != 0 {
            descriptors.append(pollfd(fd: source.descriptor, events: source.interest, revents: 0))
            polled.append(source)
        }
        let idle = inbox.withLock { inbox in
            inbox.asleep = inbox.work.isEmpty && turnOffset == turn.count
            return inbox.asleep
        }
        let ready = poll(&descriptors, nfds_t(descriptors.count), idle ? millisecondsToNextTimer() : 0)
        if idle { inbox.withLock { $0.asleep = false } }
        guard ready > 0 else { return }
        if descriptors[0].revents != 0 { drainWakePipe() }
        for (index, source) in polled.enumerated() {
            let events = descriptors[index + 1].revents
            // A source that was removed by one before it must not be called any more.
            if events != 0, !source.removed { source.ready(events) }
        }
        polled.removeAll(keepingCapacity: true)
    }

    private func millisecondsToNextTimer() -> Int32 {
        guard let next = timers.min else { return -1 }
        let wait = next.deadline - ContinuousClock.now
        guard wait > .zero else { return 0 }
        let (seconds, attoseconds) = wait.components
        // Rounded up: waking early would spin until the timer is due.
        return Int32(clamping: min(seconds, 86_400) * 1_000 + attoseconds / 1_000_000_000_000_000 + 1)
    }

    private func drainWakePipe() {
        withUnsafeTemporaryAllocation(byteCount: 256, alignment: 1) { buffer in
            while read(wakeRead, buffer.baseAddress, buffer.count) == buffer.count {}
        }
    }
}

/// A socket in the loop. `@unchecked Sendable`: touched by the loop's thread only, once it was added.
final class PollSource: @unchecked Sendable {
    let descriptor: Int32
    /// POLLIN, POLLOUT, both or 0.
    var interest: Int16
    let ready: (Int16) -> Void
    fileprivate var removed = false

    init(descriptor: Int32, interest: Int16, ready: @escaping (Int16) -> Void) {
        self.descriptor = descriptor
        self.interest = interest
        self.ready = ready
    }
}

/// `@unchecked Sendable`: touched by the loop's thread only.
final class PollTimer: Comparable, @unchecked Sendable {
    fileprivate let deadline: ContinuousClock.Instant
    /// nil once it ran or was cancelled.
    fileprivate var action: (() -> Void)?

    fileprivate init(deadline: ContinuousClock.Instant, action: @escaping () -> Void) {
        self.deadline = deadline
        self.action = action
    }

    static func < (left: PollTimer, right: PollTimer) -> Bool { left.deadline < right.deadline }
    static func == (left: PollTimer, right: PollTimer) -> Bool { left === right }
}
