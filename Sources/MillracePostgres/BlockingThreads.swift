internal import Synchronization

#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// A bounded number of threads for the parts of libpq that block: resolving names, authenticating, cancelling.
final class BlockingThreads: Sendable {
    /// Separate, so that connections that hang on a dead name server do not keep statements from being cancelled.
    static let connecting = BlockingThreads(name: "millrace-connect", maximumThreads: 16)
    static let cancelling = BlockingThreads(name: "millrace-cancel", maximumThreads: 8)

    private struct State: ~Copyable {
        var waiting: [@Sendable () -> Void] = []
        var threads = 0
    }

    private let name: String
    private let maximumThreads: Int
    private let state = Mutex(State())

    init(name: String, maximumThreads: Int) {
        self.name = name
        self.maximumThreads = maximumThreads
    }

    /// Runs `work` on one of the threads. The queue is bounded by the callers: one entry a connection.
    func run(_ work: @escaping @Sendable () -> Void) {
        let needsThread = state.withLock { state in
            state.waiting.append(work)
            guard state.threads < maximumThreads else { return false }
            state.threads += 1
            return true
        }
        if needsThread { startThread(named: name) { [self] in drain() } }
    }

    private func drain() {
        while let work = next() { work() }
    }

    private func next() -> (@Sendable () -> Void)? {
        state.withLock { state in
            if state.waiting.isEmpty {
                state.threads -= 1
                return nil
            }
            return state.waiting.removeFirst()
        }
    }
}

func currentThread() -> UInt {
    #if canImport(Darwin)
        UInt(bitPattern: pthread_self())
    #else
        UInt(pthread_self())
    #endif
}

private final class ThreadBody {
    let name: String
    let run: @Sendable () -> Void

    init(name: String, run: @escaping @Sendable () -> Void) {
        self.name = name
        self.run = run
    }
}

/// Starts a thread that nobody joins. A process that cannot start one cannot go on.
func startThread(named name: String, _ body: @escaping @Sendable () -> Void) {
    let context = Unmanaged.passRetained(ThreadBody(name: name, run: body)).toOpaque()
    #if canImport(Darwin)
        var thread: pthread_t?
        let status = pthread_create(&thread, nil, { runThread($0) }, context)
        if let thread { pthread_detach(thread) }
    #else
        var thread = pthread_t()
        let status = pthread_create(&thread, nil, { runThread($0!) }, context)
        if status == 0 { pthread_detach(thread) }
    #endif
    precondition(status == 0, "the thread \(name) cannot be started: errno \(status)")
}

private func runThread(_ context: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    let body = Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue()
    #if canImport(Darwin)
        pthread_setname_np(body.name)
    #endif
    body.run()
    return nil
}
