import MillracePostgres
import Testing

/// A call that is given up before it was sent costs nothing; one that was sent costs the connection.
@Suite(.serialized) struct CancellationTests {
    @Test func inFlight() async throws {
        try await withClient { client in
            let connection = try await PostgresConnection.connect(client.configuration)
            let bystander = Task { try await postgresError { try await connection.query("SELECT pg_sleep(600)") } }
            try await untilRunning("pg_sleep", pid: connection.backendProcessID, on: client)
            let victim = Task { try await postgresError { try await connection.query("SELECT 1, pg_sleep(600)") } }
            // Its place is behind the other, so it is in flight as soon as the loop has taken the call after it.
            await Task.yield()
            bystander.cancel()
            #expect(try await bystander.value.isCancelled)
            let lost = try await victim.value
            #expect(lost.isConnectionLost || lost.isCancelled)
            try await untilGone(pid: connection.backendProcessID, on: client)
            let after = try await postgresError { try await connection.query("SELECT 1") }
            #expect(after.isCancelled || after.isConnectionLost)
        }
    }

    @Test func alreadyCancelled() async throws {
        try await withTestConnection { connection async throws in
            let start = Signal()
            let task = Task {
                await start.wait()
                return try await postgresError { try await connection.query("SELECT 1") }
            }
            task.cancel()
            start.give()
            #expect(try await task.value.isCancelled)
            #expect(try await connection.query("SELECT 1").count == 1)
        }
    }

    @Test func waitingToBeSent() async throws {
        try await withClient {
            $0.maximumPipelineDepth = 1
        } _: { client in
            let connection = try await PostgresConnection.connect(client.configuration)
            let first = Task { try await postgresError { try await connection.query("SELECT pg_sleep(600)") } }
            try await untilRunning("pg_sleep", pid: connection.backendProcessID, on: client)
            let second = Task { try await postgresError { try await connection.query("SELECT 2") } }
            await Task.yield()
            second.cancel()
            #expect(try await second.value.isCancelled)
            try await client.query("SELECT pg_cancel_backend($1)", [.int4(connection.backendProcessID)])
            #expect(try await first.value.sqlState == .queryCanceled)
            #expect(try await connection.query("SELECT 3").single().decode(Int.self, at: 0) == 3)
            await connection.close()
        }
    }

    @Test func queuedInThePool() async throws {
        try await withClient {
            $0.maximumConnections = 1
        } _: { client in
            let task = try await client.withConnection { _ in
                let task = Task { try await postgresError { try await client.query("SELECT 1") } }
                try await until("a waiting caller") { client.statistics.waiting == 1 }
                task.cancel()
                _ = await task.result
                return task
            }
            #expect(try await task.value.isCancelled)
            #expect(try await client.query("SELECT 1").count == 1)
            #expect(client.statistics.waiting == 0)
        }
    }

    @Test func queuedInThePoolWhileItConnects() async throws {
        let peer = try FakePeer(.silent)
        let client = PostgresClient(PostgresConfiguration("postgresql://x@127.0.0.1:\(peer.port)/x"))
        let task = Task { try await postgresError { try await client.query("SELECT 1") } }
        await peer.wasReached.wait()
        task.cancel()
        #expect(try await task.value.isCancelled)
        await client.close()
        peer.stop()
    }

    @Test func inATransaction() async throws {
        try await withClient { client in
            let table = uniqueName("cancelled")
            try await client.script("CREATE TABLE \(table) (id int)")
            let pid = Signal()
            let task = Task {
                try await postgresError {
                    try await client.withTransaction { transaction in
                        try await transaction.query(PostgresStatement("INSERT INTO \(table) VALUES (1)"))
                        pid.give()
                        try await transaction.query("SELECT pg_sleep(600) /* cancelled in a transaction */")
                    }
                }
            }
            await pid.wait()
            task.cancel()
            #expect(try await task.value.isCancelled)
            let count = PostgresStatement("SELECT count(*) FROM \(table)")
            #expect(try await client.query(count).single().decode(Int.self, at: 0) == 0)
            try await client.script("DROP TABLE \(table)")
        }
    }

    @Test func betweenTheStatementsOfATransaction() async throws {
        try await withClient {
            $0.maximumConnections = 1
        } _: { client in
            let table = uniqueName("cancelled")
            try await client.script("CREATE TABLE \(table) (id int)")
            let pid = try await client.query("SELECT pg_backend_pid()").single().decode(Int32.self, at: 0)
            let isInside = Signal()
            let isCancelled = Signal()
            let task = Task {
                try await client.withTransaction { transaction in
                    try await transaction.query(PostgresStatement("INSERT INTO \(table) VALUES (1)"))
                    isInside.give()
                    await isCancelled.wait()
                    try Task.checkCancellation()
                }
            }
            await isInside.wait()
            task.cancel()
            isCancelled.give()
            await #expect(throws: CancellationError.self) { try await task.value }
            // Nothing was in flight: the rollback is done in spite of the cancellation and the connection is kept.
            let count = PostgresStatement("SELECT count(*), pg_backend_pid() FROM \(table)")
            let (rows, same) = try await client.query(count).single().decode(Int.self, Int32.self)
            #expect(rows == 0)
            #expect(same == pid)
            try await client.script("DROP TABLE \(table)")
        }
    }

    @Test func inACopyIn() async throws {
        try await withClient { client in
            let table = uniqueName("cancelled")
            try await client.script("CREATE TABLE \(table) (id int8)")
            let hasWritten = Signal()
            let task = Task {
                try await postgresError {
                    _ = try await client.withConnection { connection in
                        try await connection.copyIn("COPY \(table) FROM STDIN") { writer in
                            while true {
                                try await writer.write([UInt8](String(repeating: "1\n", count: 10_000).utf8))
                                hasWritten.give()
                            }
                        }
                    }
                }
            }
            await hasWritten.wait()
            task.cancel()
            #expect(try await task.value.isCancelled)
            let count = PostgresStatement("SELECT count(*) FROM \(table)")
            #expect(try await client.query(count).single().decode(Int.self, at: 0) == 0)
            try await client.script("DROP TABLE \(table)")
        }
    }

    @Test func inACopyOut() async throws {
        try await withClient { client async throws in
            let hasRead = Signal()
            let task = Task {
                try await postgresError {
                    _ = try await client.withConnection { connection in
                        try await connection.copyOut("COPY (SELECT generate_series(1, 1000000000)) TO STDOUT") { _ in
                            hasRead.give()
                        }
                    }
                }
            }
            await hasRead.wait()
            task.cancel()
            #expect(try await task.value.isCancelled)
            #expect(try await client.query("SELECT 1").count == 1)
        }
    }

    @Test func inAScript() async throws {
        try await withClient { client in
            let connection = try await PostgresConnection.connect(client.configuration)
            let task = Task {
                try await postgresError { try await connection.script("SELECT 1; SELECT pg_sleep(600)") }
            }
            try await untilRunning("pg_sleep", pid: connection.backendProcessID, on: client)
            task.cancel()
            #expect(try await task.value.isCancelled)
            try await untilGone(pid: connection.backendProcessID, on: client)
        }
    }

    @Test func duringACommit() async throws {
        try await withClient { client in
            let slow = try await SlowCommit(on: client)
            let connection = try await PostgresConnection.connect(client.configuration)
            let task = Task {
                try await postgresError {
                    try await connection.withTransaction { try await $0.query(slow.insert) }
                }
            }
            try await untilRunning("COMMIT", pid: connection.backendProcessID, on: client)
            task.cancel()
            #expect(try await task.value.isOutcomeUnknown)
            try await untilGone(pid: connection.backendProcessID, on: client)
            try await slow.drop(on: client)
        }
    }

    @Test func whileListening() async throws {
        try await withClient { client in
            let channel = uniqueName("cancelled")
            let isListening = Signal()
            let task = Task {
                var seen: [PostgresNotification] = []
                for await notification in client.notifications(on: [channel]) {
                    seen.append(notification)
                    isListening.give()
                }
                return seen
            }
            await isListening.wait()
            task.cancel()
            #expect(await task.value == [.listening])
        }
    }
}

/// A table whose rows make the COMMIT wait for ten minutes: a deferred trigger runs within it.
struct SlowCommit {
    let table = uniqueName("slow_commit")
    var insert: PostgresStatement { PostgresStatement("INSERT INTO \(table) VALUES (1)") }

    init(on client: PostgresClient) async throws {
        try await client.script(
            """
            CREATE TABLE \(table) (id int);
            CREATE FUNCTION \(table)_wait() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN PERFORM pg_sleep(600); RETURN NULL; END';
            CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON \(table) DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION \(table)_wait();
            """
        )
    }

    func drop(on client: PostgresClient) async throws {
        try await client.script("DROP TABLE \(table); DROP FUNCTION \(table)_wait()")
    }
}
