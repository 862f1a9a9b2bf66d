import MillracePostgres
import Synchronization

/// The one reader of the log in a process, for all its subscriptions: ``LogFeedState`` decides, this acts.
///
/// Wake-ups are hints: announcements of this process, rings of the doorbell through one LISTEN, and a poll of the position
/// sequence for publishers that ring no bell. Works only while somebody subscribes.
final class LogFeed: Sendable {
    /// A look that takes longer has failed: the server hangs, or the host is gone.
    static let pollTimeout = Duration.seconds(5)

    typealias SubscriberID = LogFeedState.SubscriberID
    private typealias Continuation = CheckedContinuation<LogFeedState.Answer, Never>

    private struct Shell {
        var decisions: LogFeedState
        var waiting: [SubscriberID: Continuation] = [:]
        var watching: Task<Void, Never>?
    }

    private let client: PostgresClient
    private let shell: Mutex<Shell>

    init(client: PostgresClient, limits: LogFeedState.Limits) {
        self.client = client
        var limits = limits
        // Readers leave connections to those who append.
        limits.catchUpsAtOnce = max(1, min(limits.catchUpsAtOnce, client.configuration.maximumConnections / 2))
        shell = Mutex(Shell(decisions: LogFeedState(limits)))
    }

    /// How it stands, for those who watch it.
    var state: LogFeedState { shell.withLock { $0.decisions } }

    /// One subscriber's place, given up when it is released.
    final class Place: Sendable {
        private let feed: LogFeed
        private let id: SubscriberID

        fileprivate init(feed: LogFeed, id: SubscriberID) {
            self.feed = feed
            self.id = id
        }

        deinit { feed.leave(id) }

        func next(_ wish: LogFeedState.Wish) async -> LogFeedState.Answer {
            await feed.wait(id) { [id] in $0.ask(id, wish) }
        }

        /// Returns at the next beat or hint.
        func rest() async -> LogFeedState.Answer {
            await feed.wait(id) { [id] in $0.rest(id) }
        }
    }

    func takePlace(for owner: AnyObject, timeout: Duration) -> Place {
        let id = shell.withLock { shell in
            let id = shell.decisions.join(owner: ObjectIdentifier(owner), timeout: timeout)
            if shell.watching == nil { shell.watching = Task { await watch() } }
            return id
        }
        return Place(feed: self, id: id)
    }

    private func leave(_ id: SubscriberID) {
        let watching = shell.withLock { shell -> Task<Void, Never>? in
            shell.decisions.leave(id)
            guard shell.decisions.isEmpty else { return nil }
            defer { shell.watching = nil }
            return shell.watching
        }
        watching?.cancel()
    }

    /// Ends all places of an owner: whoever waits is woken up for good.
    func dismiss(_ owner: AnyObject) {
        act { $0.stop(owner: ObjectIdentifier(owner)) }
    }

    /// Something of this process was stored; ``Position/start`` where it is not known what.
    func announce(_ position: Position) {
        act { $0.announce(position) }
    }

    // MARK: Doing what was decided

    private func act(_ decide: (inout LogFeedState) -> LogFeedState.Effects) {
        perform { decide(&$0.decisions) }
    }

    private func perform(_ decide: (inout Shell) -> LogFeedState.Effects) {
        let (resuming, reads, life) = shell.withLock { shell in
            let effects = decide(&shell)
            let resuming = effects.answers.map { (shell.waiting.removeValue(forKey: $0.0), $0.1) }
            return (resuming, effects.reads, shell.decisions.life)
        }
        for (continuation, answer) in resuming { continuation?.resume(returning: answer) }
        for read in reads { Task { await perform(read, of: life) } }
    }

    private func wait(
        _ id: SubscriberID,
        _ decide: (inout LogFeedState) -> LogFeedState.Effects
    ) async -> LogFeedState.Answer {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                perform { shell in
                    shell.waiting[id] = continuation
                    // A cancellation that came before found nobody waiting, so it is looked for under the lock.
                    if Task.isCancelled { return LogFeedState.Effects(answers: [(id, .cancelled)]) }
                    return decide(&shell.decisions)
                }
            }
        } onCancel: {
            act { $0.cancel(id) }
        }
    }

    private func perform(_ read: LogFeedState.Read, of life: UInt64) async {
        let (limits, timeout) = shell.withLock { ($0.decisions.limits(of: read), $0.decisions.timeout) }
        let result: Result<EventPage, any Error>
        do {
            let page = try await UndecodedPage.read(
                after: read.position,
                read.filter,
                limits,
                timeout: timeout,
                in: client
            )
            result = .success(try page.decoded())
        } catch {
            result = .failure(error)
        }
        act { $0.finished(read, of: life, result) }
    }

    // MARK: Hints

    private func watch() async {
        await withTaskGroup { group in
            group.addTask { await self.listen() }
            group.addTask { await self.poll() }
        }
    }

    private func listen() async {
        for await notification in client.notifications(on: ["event_channel"]) {
            switch notification {
            case .listening: act { $0.rung(nil) }
            case .notified(_, let payload, _): act { $0.rung(Int64(payload).map { Position($0) }) }
            }
        }
    }

    private func poll() async {
        while !Task.isCancelled {
            let beat = shell.withLock { $0.decisions.beat }
            do { try await Task.sleep(for: beat) } catch { return }
            var tick = LogFeedState.Tick.rest
            act { decisions in
                let (decided, effects) = decisions.tick()
                tick = decided
                return effects
            }
            guard tick == .look else { continue }
            let latest = try? await client.query(Statements.latestPosition, [], timeout: LogFeed.pollTimeout)
                .first?.decode(Int64.self, at: 0)
            act { $0.looked(latest) }
        }
    }
}

extension LogFeedState.Read {
    fileprivate var position: Position {
        switch self {
        case .head(let after): after
        case .catchUp(let catchUp): catchUp.after
        }
    }

    fileprivate var filter: EventFilter {
        switch self {
        case .head: .all
        case .catchUp(let catchUp): catchUp.own?.filter ?? .all
        }
    }
}
