import MillracePostgres
import Testing

@Suite(.serialized) struct TimeoutTests {
    @Test func aStatementThatTakesTooLongCostsTheConnection() async throws {
        try await withClient { client in
            let connection = try await PostgresConnection.connect(client.configuration)
            let error = try await postgresError {
                try await connection.query("SELECT pg_sleep(600)", [], timeout: .milliseconds(50))
            }
            #expect(error.isTimedOut)
            try await untilGone(pid: connection.backendProcessID, on: client)
        }
    }

    @Test func theConfigurationsLimitHoldsWhereACallNamesNone() async throws {
        try await withClient {
            $0.queryTimeout = .milliseconds(50)
        } _: { client async throws in
            #expect(try await postgresError { try await client.query("SELECT pg_sleep(600)") }.isTimedOut)
            #expect(try await postgresError { try await client.script("SELECT pg_sleep(600)") }.isTimedOut)
            #expect(try await client.query("SELECT pg_sleep(0.2)", [], timeout: .seconds(60)).count == 1)
        }
    }

    @Test func whatWaitsBehindASlowStatementTimesOutWithoutHarm() async throws {
        try await withClient {
            $0.maximumPipelineDepth = 1
        } _: { client in
            let connection = try await PostgresConnection.connect(client.configuration)
            let slow = Task { try await postgresError { try await connection.query("SELECT pg_sleep(600)") } }
            try await untilRunning("pg_sleep", pid: connection.backendProcessID, on: client)
            let error = try await postgresError {
                try await connection.query("SELECT 1", [], timeout: .milliseconds(20))
            }
            #expect(error.isTimedOut)
            try await client.query("SELECT pg_cancel_backend($1)", [.int4(connection.backendProcessID)])
            #expect(try await slow.value.sqlState == .queryCanceled)
            #expect(try await connection.query("SELECT 1").count == 1)
            await connection.close()
        }
    }

    @Test func aCommitThatTakesTooLongIsUnknown() async throws {
        try await withClient {
            $0.queryTimeout = .milliseconds(300)
        } _: { client in
            let slow = try await SlowCommit(on: client)
            let error = try await postgresError {
                try await client.withTransaction { try await $0.query(slow.insert, [], timeout: .seconds(60)) }
            }
            #expect(error.isOutcomeUnknown)
            try await slow.drop(on: client)
        }
    }

    @Test func closingFailsWhatIsInFlight() async throws {
        try await withClient { client in
            let connection = try await PostgresConnection.connect(client.configuration)
            let task = Task { try await postgresError { try await connection.query("SELECT pg_sleep(600)") } }
            try await untilRunning("pg_sleep", pid: connection.backendProcessID, on: client)
            await connection.close()
            #expect(try await task.value.isConnectionLost)
            #expect(try await postgresError { try await connection.query("SELECT 1") }.isClientClosed)
            try await untilGone(pid: connection.backendProcessID, on: client)
            await connection.close()
        }
    }

    @Test func aDroppedConnectionIsClosed() async throws {
        try await withClient { client in
            let pid = try await PostgresConnection.connect(client.configuration).backendProcessID
            try await untilGone(pid: pid, on: client)
        }
    }
}
