import Logging
import MillracePostgres
import Synchronization

/// Wakes subscribers up when the log may have grown: one LISTEN connection and one poll for a whole process.
///
/// Every wake-up is a hint; what there is to read, the table says. Rings of the doorbell come through LISTEN.
/// Publishers who switched `notify_on_publish` off are found by polling the position sequence: often after it moved
/// (their transaction may commit a moment later), less and less often while it rests. Works only while somebody
/// waits.
final class LogWatcher: Sendable {
    /// The beat of the poll just after the sequence moved, and while it rests. The slow beat bounds how late a
    /// subscriber learns of an event when every hint is lost.
    static let fastestBeat = Duration.milliseconds(20)
    static let slowestBeat = Duration.seconds(1)

    /// A look that takes longer has failed: the server hangs, or the host is gone.
    static let pollTimeout = Duration.seconds(5)

    private struct Waiter {
        let owner: ObjectIdentifier
        let continuation: AsyncStream<Void>.Continuation
    }

    private struct State {
        var waiters: [UInt64: Waiter] = [:]
        var nextID: UInt64 = 0
        var task: Task<Void, Never>?
    }

    private let client: PostgresClient
    private let logger: Logger
    private let state = Mutex(State())

    init(client: PostgresClient, logger: Logger) {
        self.client = client
        self.logger = logger
    }

    /// One subscriber's place among the waiters, given up when it is released.
    ///
    /// Holds the newest hint only: however many arrive while the subscriber is busy, it looks once.
    final class Place: Sendable {
        let hints: AsyncStream<Void>
        private let watcher: LogWatcher
        private let id: UInt64

        fileprivate init(watcher: LogWatcher, id: UInt64, hints: AsyncStream<Void>) {
            self.watcher = watcher
            self.id = id
            self.hints = hints
        }

        deinit { watcher.remove(id) }
    }

    func takePlace(for owner: AnyObject) -> Place {
        let (hints, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let id = state.withLock { state in
            let id = state.nextID
            state.nextID += 1
            state.waiters[id] = Waiter(owner: ObjectIdentifier(owner), continuation: continuation)
            if state.task == nil { state.task = Task { await watch() } }
            return id
        }
        return Place(watcher: self, id: id, hints: hints)
    }

    /// Ends the hints of all places of an owner: whoever waits for one is woken up for good.
    func dismiss(_ owner: AnyObject) {
        remove { $0.value.owner == ObjectIdentifier(owner) }
    }

    private func remove(_ id: UInt64) {
        remove { $0.key == id }
    }

    private func remove(_ isLeaving: ((key: UInt64, value: Waiter)) -> Bool) {
        let (leaving, task) = state.withLock { state -> ([Waiter], Task<Void, Never>?) in
            let leaving = state.waiters.filter { isLeaving(($0.key, $0.value)) }
            for id in leaving.keys { state.waiters[id] = nil }
            guard state.waiters.isEmpty else { return (Array(leaving.values), nil) }
            defer { state.task = nil }
            return (Array(leaving.values), state.task)
        }
        for waiter in leaving { waiter.continuation.finish() }
        task?.cancel()
    }

    private func wakeAll() {
        let waiters = state.withLock { Array($0.waiters.values) }
        for waiter in waiters { waiter.continuation.yield() }
    }

    private func watch() async {
        await withTaskGroup { group in
            group.addTask { await self.listen() }
            group.addTask { await self.poll() }
        }
    }

    private func listen() async {
        for await _ in client.notifications(on: ["event_channel"]) { wakeAll() }
    }

    private func poll() async {
        var last: Int64?
        var beat = LogWatcher.fastestBeat
        while !Task.isCancelled {
            let latest = try? await client.query(Statements.latestPosition, [], timeout: LogWatcher.pollTimeout)
                .first?.decode(Int64.self, at: 0)
            beat = latest != last ? LogWatcher.fastestBeat : min(beat * 2, LogWatcher.slowestBeat)
            last = latest
            wakeAll()
            do { try await Task.sleep(for: beat) } catch { return }
        }
    }
}
