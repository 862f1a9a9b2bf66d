import Logging
public import Millrace
import MillracePostgres

/// Handlers in tests: against a real store, with nothing to wait for by the clock.
///
///     try await withTestStore { store in
///         try await store.append(OrderCreated(cents: 100), to: StreamID("order", "1"))
///         let report = try await store.handleEverything(with: billing)
///         #expect(report.parked.isEmpty)
///     }
public struct HandlerReport: Sendable {
    /// An event that could not be handled, and what waits behind it.
    public struct Parked: Sendable, Hashable {
        public let stream: StreamID
        public let version: Int
        public let error: String
        public let attempts: Int
        public let waiting: Int

        public init(stream: StreamID, version: Int, error: String, attempts: Int, waiting: Int) {
            self.stream = stream
            self.version = version
            self.error = error
            self.attempts = attempts
            self.waiting = waiting
        }
    }

    /// Events that were handled, since the handler was registered.
    public let processed: Int
    public let parked: [Parked]
}

extension EventStore {
    /// Runs a handler as a worker does, until it has handled, or parked, everything that is in the log now, and what that led to.
    ///
    /// Retries are not waited for longer than the handler's policy says: give it a short one.
    /// - Throws: ``HandlerIsBehind``; what registering the handler throws.
    public func handleEverything(with handler: Handler, within limit: Duration = .seconds(60)) async throws
        -> HandlerReport
    {
        let deadline = ContinuousClock.now + limit
        try await working([handler]) {
            var (handled, last) = (Position.start, try await lastPosition())
            // What it appends may be its own to handle.
            repeat {
                try await waitUntilHandled(by: handler.name, upTo: last, within: deadline - .now)
                (handled, last) = (last, try await lastPosition())
            } while handled < last
        }
        return try await report(of: handler.name)
    }

    /// Runs handlers as a worker does, for as long as the body takes.
    public func working<Value>(_ handlers: [Handler], _ body: () async throws -> Value) async throws -> Value {
        var quiet = Logger(label: "millrace.testing")
        quiet.logLevel = .critical
        let worker = HandlerWorker(
            self,
            handlers: handlers,
            options: WorkerOptions(lease: .seconds(2), beat: .milliseconds(25)),
            logger: quiet
        )
        let task = Task { try await worker.run() }
        do {
            let value = try await body()
            worker.stop()
            try await task.value
            return value
        } catch {
            worker.stop()
            // Why it did not work is more than what did not come of it.
            try await task.value
            throw error
        }
    }

    /// What a handler's effects look like after everything was handled once, and after everything was delivered a second time: equal for a
    /// handler that tolerates duplicates.
    ///
    /// What is written through the context's transaction is written once each time: what would be doubled here would not be in service, where the
    /// checkpoint moves with it. This is for effects elsewhere, and for handlers that are replayed or reset.
    /// - Parameter effects: looks at the effects.
    public func effectsOfRepetition<Effects>(
        of handler: Handler,
        _ effects: () async throws -> Effects
    ) async throws -> (once: Effects, twice: Effects) {
        _ = try await handleEverything(with: handler)
        let once = try await effects()
        try await client.query(HandlerQueries.reset, [.text(handler.name)])
        _ = try await handleEverything(with: handler)
        return (once, try await effects())
    }

    private func report(of handler: String) async throws -> HandlerReport {
        let processed = try await client.query(HandlerQueries.processed, [.text(handler)]).single()
        let parked = try await client.query(HandlerQueries.parked, [.text(handler)])
        return HandlerReport(
            processed: Int(try processed.decode(Int64.self, at: 0)),
            parked: try parked.map { row in
                HandlerReport.Parked(
                    stream: StreamID(try row.decode(String.self, at: 0), try row.decode(String.self, at: 1)),
                    version: Int(try row.decode(Int32.self, at: 2)),
                    error: try row.decode(String?.self, at: 3) ?? "",
                    attempts: Int(try row.decode(Int32.self, at: 4)),
                    waiting: Int(try row.decode(Int64.self, at: 5))
                )
            }
        )
    }
}

private enum HandlerQueries {
    static let reset: PostgresStatement = "SELECT FROM millrace.reset_handler($1, 0)"
    static let processed: PostgresStatement = """
        SELECT coalesce(sum(c.processed), 0)::bigint FROM millrace.handler_counts AS c WHERE c.handler_id = $1
        """
    static let parked: PostgresStatement = """
        SELECT p.aggregate_type, p.aggregate_id, p.version, p.error, p.attempts, p.waiting
        FROM millrace.parked_events AS p
        WHERE p.handler_id = $1 AND p.status = 'parked'
        ORDER BY p.position
        """
}
