import MillracePostgres
import Testing

@Suite(.serialized) struct TransactionTests {
    private struct Refused: Error {}

    /// A client with one connection and a temporary table `t` on it.
    private func withTable(_ body: (PostgresClient) async throws -> Void) async throws {
        try await withClient {
            $0.maximumConnections = 1
        } _: { client in
            try await client.script("CREATE TEMP TABLE t (id int PRIMARY KEY)")
            try await body(client)
        }
    }

    private func ids(_ client: PostgresClient) async throws -> [Int] {
        try await client.query("SELECT id FROM t ORDER BY id").map { try $0.decode(Int.self, at: 0) }
    }

    private func insert(_ id: Int32, _ session: some PostgresSession) async throws {
        try await session.query("INSERT INTO t VALUES ($1)", [.int4(id)])
    }

    @Test func whatItsBodyReturnsIsCommitted() async throws {
        try await withTable { client in
            let value = try await client.withTransaction { transaction in
                try await insert(1, transaction)
                try await insert(2, transaction)
                return "done"
            }
            #expect(value == "done")
            #expect(try await ids(client) == [1, 2])
        }
    }

    @Test func whatItsBodyThrowsRollsBack() async throws {
        try await withTable { client async throws in
            await #expect(throws: Refused.self) {
                try await client.withTransaction { transaction in
                    try await insert(1, transaction)
                    throw Refused()
                }
            }
            #expect(try await ids(client) == [])
        }
    }

    @Test func theBeginTravelsWithWhateverComesFirst() async throws {
        try await withTable { client in
            for first in 0..<4 {
                await #expect(throws: Refused.self) {
                    try await client.withTransaction { transaction in
                        switch first {
                        case 0: try await insert(1, transaction)
                        case 1: try await transaction.script("INSERT INTO t VALUES (1)")
                        case 2:
                            try await transaction.copyIn("COPY t FROM STDIN") {
                                try await $0.write([UInt8]("1\n".utf8))
                            }
                        default: try await insert(1, transaction.connection)
                        }
                        throw Refused()
                    }
                }
                #expect(try await ids(client) == [], "first \(first)")
            }
            try await client.withTransaction { _ in }
            await #expect(throws: Refused.self) { try await client.withTransaction { _ in throw Refused() } }
        }
    }

    @Test func aModeIsWhatTheServerSees() async throws {
        try await withTable { client in
            let show: PostgresStatement = """
                SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only'),
                       current_setting('transaction_deferrable')
                """
            for (mode, expected) in [
                (PostgresTransactionMode(), ["read committed", "off", "off"]),
                (.init(isolation: .repeatableRead), ["repeatable read", "off", "off"]),
                (.init(isolation: .serializable, readOnly: true, deferrable: true), ["serializable", "on", "on"]),
            ] {
                let (isolation, readOnly, deferrable) = try await client.withTransaction(mode) {
                    try await $0.query(show).single().decode(String.self, String.self, String.self)
                }
                #expect([isolation, readOnly, deferrable] == expected)
            }
            let table = uniqueName("read_only")
            let error = try await postgresError {
                try await client.withTransaction(.init(readOnly: true)) {
                    try await $0.query(PostgresStatement("CREATE TABLE \(table) (id int)"))
                }
            }
            #expect(error.sqlState == .readOnlyTransaction)
        }
    }

    @Test func aSwallowedFailureIsNoSuccess() async throws {
        try await withTable { client in
            let error = try await postgresError {
                try await client.withTransaction { transaction in
                    try await insert(1, transaction)
                    _ = try? await insert(1, transaction)
                }
            }
            #expect(error.sqlState == .inFailedTransaction)
            #expect(try await ids(client) == [])
        }
    }

    @Test func aSavepointFailsByItself() async throws {
        try await withTable { client in
            try await client.withTransaction { transaction in
                try await insert(1, transaction)
                let error = try await postgresError {
                    try await transaction.withSavepoint { part in
                        try await insert(2, part)
                        try await insert(1, part)
                    }
                }
                #expect(error.sqlState == .uniqueViolation)
                try await transaction.withSavepoint { part in
                    try await insert(3, part)
                    await #expect(throws: Refused.self) {
                        try await part.withSavepoint { inner in
                            try await insert(4, inner)
                            throw Refused()
                        }
                    }
                }
            }
            #expect(try await ids(client) == [1, 3])
        }
    }

    @Test func aSavepointMayComeFirst() async throws {
        try await withTable { client in
            try await client.withTransaction { try await $0.withSavepoint { try await insert(1, $0) } }
            #expect(try await ids(client) == [1])
        }
    }

    @Test func oneWithinAnotherIsRefused() async throws {
        try await withTable { client in
            let error = try await postgresError {
                try await client.withTransaction { transaction in
                    try await transaction.connection.withTransaction { _ in }
                }
            }
            #expect(error.isMisuse)
        }
    }

    @Test func oneThatIsLeftOpenByHandIsRolledBack() async throws {
        try await withTable { client in
            try await client.withConnection { connection in
                try await connection.query("BEGIN")
                try await insert(1, connection)
            }
            #expect(try await ids(client) == [])
            try await client.query("BEGIN")
            try await insert(1, client)
            #expect(try await ids(client) == [1])
        }
    }

    @Test func aRefusedBeginLetsNothingRunOutsideOfIt() async throws {
        try await withTestConnection { connection in
            try await connection.script("CREATE TEMP TABLE t (id int PRIMARY KEY)")
            try await connection.query("BEGIN")
            _ = try await postgresError { try await connection.query("SELECT 1/0") }
            let error = try await postgresError {
                try await connection.withTransaction { transaction in
                    _ = try? await transaction.query("ROLLBACK")
                    try await insert(1, transaction)
                }
            }
            #expect(error.sqlState == .inFailedTransaction)
            #expect(try await connection.query("SELECT count(*) FROM t").single().decode(Int.self, at: 0) == 0)
        }
    }

    @Test func aRefusedCommitIsTheServersError() async throws {
        try await withClient {
            $0.maximumConnections = 1
        } _: { client in
            try await client.script(
                "CREATE TEMP TABLE d (id int, CONSTRAINT d_unique UNIQUE (id) DEFERRABLE INITIALLY DEFERRED)"
            )
            let error = try await postgresError {
                try await client.withTransaction { try await $0.query("INSERT INTO d VALUES (1), (1)") }
            }
            guard case .server(let refused) = error else { throw error }
            #expect(refused.sqlState == .uniqueViolation)
            #expect(refused.constraint == "d_unique")
            #expect(refused.table == "d")
            #expect(try await client.query("SELECT count(*) FROM d").single().decode(Int.self, at: 0) == 0)
        }
    }
}

@Suite(.serialized) struct RetryTests {
    private func withTable(_ body: (PostgresClient, String) async throws -> Void) async throws {
        try await withClient { client in
            let table = uniqueName("retried")
            try await client.script(
                "CREATE TABLE \(table) (id int PRIMARY KEY, n int); INSERT INTO \(table) VALUES (1, 0), (2, 0)"
            )
            try await body(client, table)
            try await client.script("DROP TABLE \(table)")
        }
    }

    @Test func serializationFailuresRunTheBodyAgain() async throws {
        try await withTable { client, table in
            let read = PostgresStatement("SELECT n FROM \(table) WHERE id = 1")
            let write = PostgresStatement("UPDATE \(table) SET n = $1 WHERE id = 1")
            let retry = PostgresRetryPolicy.serializationFailures(attempts: 1_000)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        for _ in 0..<10 {
                            try await client.withTransaction(.init(isolation: .serializable), retry: retry) {
                                let n = try await $0.query(read).single().decode(Int32.self, at: 0)
                                try await $0.query(write, [.int4(n + 1)])
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await client.query(read).single().decode(Int.self, at: 0) == 80)
        }
    }

    @Test func deadlocksRunTheBodyAgain() async throws {
        try await withTable { client, table in
            let update = PostgresStatement("UPDATE \(table) SET n = n + 1 WHERE id = $1")
            let both = [Signal(), Signal()]
            let attempts = try await withThrowingTaskGroup(of: Int.self) { group in
                for first in 0...1 {
                    group.addTask {
                        var attempts = 0
                        try await client.withTransaction(retry: .serializationFailures()) { transaction in
                            attempts += 1
                            try await transaction.query(update, [.int4(Int32(first + 1))])
                            both[first].give()
                            await both[1 - first].wait()
                            try await transaction.query(update, [.int4(Int32(2 - first))])
                        }
                        return attempts
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(attempts >= 3)
            let sum = PostgresStatement("SELECT sum(n)::int FROM \(table)")
            #expect(try await client.query(sum).single().decode(Int.self, at: 0) == 4)
        }
    }

    @Test func theNumberOfAttemptsIsBounded() async throws {
        try await withClient { client in
            var attempts = 0
            let policy = PostgresRetryPolicy.serializationFailures(
                attempts: 3,
                backoff: .init(initial: .zero, maximum: .zero)
            )
            let error = try await postgresError {
                try await client.withTransaction(retry: policy) { transaction in
                    attempts += 1
                    try await transaction.script("DO 'BEGIN RAISE SQLSTATE ''40001''; END'")
                }
            }
            #expect(error.sqlState == .serializationFailure)
            #expect(attempts == 3)
        }
    }

    @Test func otherFailuresAreFinal() async throws {
        try await withClient { client in
            var attempts = 0
            let error = try await postgresError {
                try await client.withTransaction(retry: .serializationFailures()) { transaction in
                    attempts += 1
                    try await transaction.query("SELECT 1/0")
                }
            }
            #expect(error.sqlState == "22012")
            #expect(attempts == 1)
        }
    }
}
