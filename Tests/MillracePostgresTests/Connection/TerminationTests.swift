import MillracePostgres
import Testing

/// The server ends a session in each of its states.
@Suite(.serialized) struct TerminationTests {
    private func terminate(_ pid: Int32, on client: PostgresClient) async throws {
        try await client.query("SELECT pg_terminate_backend($1)", [.int4(pid)])
        try await untilGone(pid: pid, on: client)
    }

    @Test func idleInThePool() async throws {
        try await withClient { admin in
            try await withClient {
                $0.maximumConnections = 1
            } _: { client in
                let pid = try await client.query("SELECT pg_backend_pid()").single().decode(Int32.self, at: 0)
                try await terminate(pid, on: admin)
                try await until("the connection leaves the pool") { client.statistics.open == 0 }
                let next = try await client.query("SELECT pg_backend_pid()").single().decode(Int32.self, at: 0)
                #expect(next != pid)
            }
        }
    }

    @Test func inFlight() async throws {
        try await withClient { client in
            let connection = try await PostgresConnection.connect(client.configuration)
            let task = Task { try await postgresError { try await connection.query("SELECT pg_sleep(600)") } }
            try await untilRunning("pg_sleep", pid: connection.backendProcessID, on: client)
            try await terminate(connection.backendProcessID, on: client)
            let error = try await task.value
            #expect(error.isConnectionLost)
            #expect("\(error)".contains("57P01"))
            #expect(try await postgresError { try await connection.query("SELECT 1") }.isConnectionLost)
        }
    }

    @Test func inATransaction() async throws {
        try await withClient { client in
            let error = try await postgresError {
                try await client.withTransaction { transaction in
                    try await transaction.query("SELECT 1")
                    try await terminate(transaction.connection.backendProcessID, on: client)
                    try await transaction.query("SELECT 2")
                }
            }
            #expect(error.isConnectionLost)
        }
    }

    @Test func beforeTheCommitIsSent() async throws {
        try await withClient { client in
            let error = try await postgresError {
                try await client.withTransaction { transaction in
                    try await transaction.query("SELECT 1")
                    try await terminate(transaction.connection.backendProcessID, on: client)
                }
            }
            // Either the loss was noticed before the COMMIT was sent, or the COMMIT was on its way.
            #expect(error.isConnectionLost || error.isOutcomeUnknown)
        }
    }

    @Test func duringACommit() async throws {
        try await withClient { client in
            let slow = try await SlowCommit(on: client)
            let connection = try await PostgresConnection.connect(client.configuration)
            let task = Task {
                try await postgresError {
                    try await connection.withTransaction(retry: .serializationFailures()) {
                        try await $0.query(slow.insert)
                    }
                }
            }
            try await untilRunning("COMMIT", pid: connection.backendProcessID, on: client)
            try await terminate(connection.backendProcessID, on: client)
            #expect(try await task.value.isOutcomeUnknown)
            try await slow.drop(on: client)
        }
    }

    @Test func inACopyIn() async throws {
        try await withClient { client in
            let table = uniqueName("terminated")
            try await client.script("CREATE TABLE \(table) (id int8)")
            let connection = try await PostgresConnection.connect(client.configuration)
            let error = try await postgresError {
                try await connection.copyIn("COPY \(table) FROM STDIN") { writer in
                    try await writer.write([UInt8]("1\n".utf8))
                    try await terminate(connection.backendProcessID, on: client)
                    while true { try await writer.write([UInt8]("2\n".utf8)) }
                }
            }
            #expect(error.isConnectionLost)
            try await client.script("DROP TABLE \(table)")
        }
    }

    @Test func inACopyOut() async throws {
        try await withClient { client in
            let connection = try await PostgresConnection.connect(client.configuration)
            let hasRead = Signal()
            let error = try await postgresError {
                try await connection.copyOut("COPY (SELECT generate_series(1, 1000000000)) TO STDOUT") { _ in
                    if hasRead.isGiven { return }
                    hasRead.give()
                    try await client.query("SELECT pg_terminate_backend($1)", [.int4(connection.backendProcessID)])
                }
            }
            #expect(error.isConnectionLost)
        }
    }

    @Test func inAScript() async throws {
        try await withClient { client in
            let connection = try await PostgresConnection.connect(client.configuration)
            let task = Task {
                try await postgresError { try await connection.script("SELECT 1; SELECT pg_sleep(600)") }
            }
            try await untilRunning("pg_sleep", pid: connection.backendProcessID, on: client)
            try await terminate(connection.backendProcessID, on: client)
            #expect(try await task.value.isConnectionLost)
        }
    }

    @Test func whileListening() async throws {
        try await withClient { client in
            let channel = uniqueName("terminated")
            var iterator = client.notifications(on: [channel]).makeAsyncIterator()
            #expect(await iterator.next() == .listening)
            let listener: PostgresStatement = """
                SELECT pid FROM pg_stat_activity WHERE query = 'LISTEN "' || $1 || '"' AND pid <> pg_backend_pid()
                """
            let pid = try await client.query(listener, [.text(channel)]).single().decode(Int32.self, at: 0)
            try await terminate(pid, on: client)
            #expect(await iterator.next() == .listening)
            try await client.query("SELECT pg_notify($1, 'again')", [.text(channel)])
            guard case .notified(channel, "again", _) = await iterator.next() else {
                Issue.record("the notification after the reconnect was not heard")
                return
            }
        }
    }

    @Test func byItsOwnTimeoutWhileIdleInATransaction() async throws {
        try await withClient {
            $0.sessionSettings = ["transaction_timeout": "50ms"]
        } _: { client in
            let error = try await postgresError {
                try await client.withTransaction { transaction in
                    try await transaction.query("SELECT 1")
                    try await untilGone(pid: transaction.connection.backendProcessID, on: client)
                    try await transaction.query("SELECT 2")
                }
            }
            #expect(error.isConnectionLost)
        }
    }
}
