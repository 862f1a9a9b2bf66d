import Testing

@testable import MillracePostgres

@Suite(.serialized) struct PoolTests {
    @Test func thereAreNeverMoreConnectionsThanTheLimit() async throws {
        try await withClient {
            $0.maximumConnections = 3
            $0.applicationName = uniqueName("pool")
        } _: { client in
            let mine: PostgresStatement = """
                SELECT count(*) FROM pg_stat_activity WHERE application_name = current_setting('application_name')
                """
            let most = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<200 {
                    group.addTask { try await client.query(mine).single().decode(Int.self, at: 0) }
                }
                return try await group.reduce(0, max)
            }
            #expect((1...3).contains(most))
            #expect(client.statistics.idle <= 3)
            #expect(client.statistics.leased == 0)
        }
    }

    @Test func callersBeyondTheLimitAreRefused() async throws {
        try await withClient {
            $0.maximumConnections = 1
            $0.maximumWaiters = 1
        } _: { client in
            try await client.withConnection { _ in
                let waiter = Task { try await client.query("SELECT 1").count }
                try await until("a waiting caller") { client.statistics.waiting == 1 }
                let error = try await postgresError { try await client.query("SELECT 1") }
                guard case .poolExhausted(waiters: 1) = error else { throw error }
                waiter.cancel()
                _ = await waiter.result
            }
        }
    }

    @Test func aCallerWaitsNoLongerThanTheLimit() async throws {
        try await withClient {
            $0.maximumConnections = 1
            // Opening the first connection counts as waiting too.
            $0.acquireTimeout = .seconds(2)
        } _: { client in
            try await client.withConnection { _ in
                let error = try await postgresError { try await client.query("SELECT 1") }
                guard case .acquireTimedOut(.seconds(2)) = error else { throw error }
            }
            #expect(try await client.query("SELECT 1").count == 1)
        }
    }

    @Test func aServerThatRefusesFailsTheCallers() async throws {
        let port = try closedPort()
        var configuration = PostgresConfiguration("postgresql://x@127.0.0.1:\(port)/x")
        configuration.reconnectBackoff = .init(initial: .milliseconds(1), maximum: .milliseconds(5))
        let client = PostgresClient(configuration)
        for _ in 0..<3 {
            #expect(try await postgresError { try await client.query("SELECT 1") }.isCannotConnect)
        }
        #expect(client.statistics.open == 0)
        await client.close()
    }

    @Test func aClosedClientRefuses() async throws {
        let client = PostgresClient(try await testConfiguration())
        try await client.query("SELECT 1")
        await client.close()
        #expect(client.statistics.open == 0)
        #expect(try await postgresError { try await client.query("SELECT 1") }.isClientClosed)
        await client.close()
    }

    @Test func closingWaitsForWhatIsLeased() async throws {
        let client = PostgresClient(try await testConfiguration())
        let isLeased = Signal()
        let mayEnd = Signal()
        let task = Task {
            try await client.withConnection { connection in
                isLeased.give()
                await mayEnd.wait()
                return try await connection.query("SELECT 1").count
            }
        }
        await isLeased.wait()
        let closing = Task { await client.close() }
        try await untilClosing(client)
        mayEnd.give()
        #expect(try await task.value == 1)
        await closing.value
        #expect(client.statistics.open == 0)
    }

    /// An attempt that nobody wants any more goes on in libpq until its thread notices; a process that ended meanwhile
    /// would take OpenSSL down under it.
    @Test func closingWaitsForThreadsThatAreConnecting() async throws {
        let peer = try FakePeer(.silent)
        let client = PostgresClient(PostgresConfiguration("postgresql://x@127.0.0.1:\(peer.port)/x"))
        let query = Task { try await postgresError { try await client.query("SELECT 1") } }
        let listening = Task { for await _ in client.notifications(on: ["nothing"]) {} }
        await peer.wasReached.wait()
        #expect(client.attempts.count > 0)
        await client.close()
        #expect(client.attempts.count == 0)
        #expect(try await query.value.isClientClosed)
        await listening.value
    }

    @Test func closingWaitsForThemNoLongerThanAConnectionMayTake() async throws {
        let attempts = ConnectAttempts()
        attempts.begin()
        await attempts.wait(atMost: .milliseconds(20))
        #expect(attempts.count == 1)
        attempts.end()
        await attempts.wait(atMost: .seconds(3_600))
        #expect(attempts.count == 0)
    }

    private func started(_ client: PostgresClient, _ sql: String, timeout: Duration? = nil) async throws -> PostgresRows
    {
        try await withCheckedThrowingContinuation { continuation in
            client.start(PostgresCall(PostgresStatement(sql)), timeout: timeout) { outcome in
                #expect(PollLoop.shared.isCurrentThread)
                continuation.resume(with: outcome.mapError { $0 as any Error })
            }
        }
    }

    @Test func aStatementRunsWithoutATask() async throws {
        try await withClient { client in
            #expect(try await started(client, "SELECT 7").single().decode(Int.self, at: 0) == 7)
            #expect(
                try await postgresError { _ = try await started(client, "SELECT nonsense") }.sqlState
                    == .undefinedColumn
            )
            let error = try await postgresError {
                _ = try await started(client, "SELECT pg_sleep(600)", timeout: .milliseconds(20))
            }
            guard case .timedOut = error else { throw error }
            #expect(try await started(client, "SELECT 8").single().decode(Int.self, at: 0) == 8)
            await client.close()
            #expect(try await postgresError { _ = try await started(client, "SELECT 9") }.isClientClosed)
        }
    }

    @Test func aStatementWithoutATaskMovesToAnotherConnection() async throws {
        try await withClient { admin in
            let client = PostgresClient(try await testConfiguration())
            let first = try await started(client, "SELECT pg_backend_pid()").single().decode(Int32.self, at: 0)
            try await admin.query("SELECT pg_terminate_backend($1, 60000)", [.int4(first)])
            let second = try await started(client, "SELECT pg_backend_pid()").single().decode(Int32.self, at: 0)
            #expect(second != first)
            await client.close()
        }
    }

    private func untilClosing(_ client: PostgresClient) async throws {
        let deadline = ContinuousClock.now + conditionDeadline
        while ContinuousClock.now < deadline {
            do {
                _ = try await client.withConnection { _ in }
            } catch PostgresError.clientClosed {
                return
            }
        }
        throw ConditionNotMet(description: "the client did not begin to close")
    }

    @Test func closingEndsWhatTakesTooLong() async throws {
        try await withClient { admin in
            let client = PostgresClient(try await testConfiguration { $0.closeTimeout = .milliseconds(50) })
            let task = Task { try await postgresError { try await client.query("SELECT 'too long', pg_sleep(600)") } }
            try await until(
                "the statement runs",
                on: admin,
                """
                SELECT EXISTS (SELECT FROM pg_stat_activity
                               WHERE state = 'active' AND query LIKE 'SELECT ''too long''%' AND pid <> pg_backend_pid())
                """
            )
            await client.close()
            #expect(try await task.value.isConnectionLost)
        }
    }
}
