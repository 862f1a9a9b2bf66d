import MillracePostgres
import Testing

@Suite(.serialized) struct ScriptTests {
    @Test func aScriptRunsSeveralStatements() async throws {
        try await withTestConnection { connection in
            try await connection.script("CREATE TEMP TABLE s (id int); INSERT INTO s VALUES (1), (2); SELECT * FROM s")
            #expect(try await connection.query("SELECT count(*) FROM s").single().decode(Int.self, at: 0) == 2)
        }
    }

    @Test func aFailingScriptLeavesNothing() async throws {
        try await withTestConnection { connection in
            let error = try await postgresError {
                try await connection.script("CREATE TEMP TABLE s (id int); SELECT 1/0; SELECT 2")
            }
            #expect(error.sqlState == "22012")
            #expect(
                try await postgresError { try await connection.query("SELECT * FROM s") }.sqlState == .undefinedTable
            )
        }
    }

    @Test func statementsAndScriptsTakeTurns() async throws {
        try await withTestConnection { connection in
            try await connection.script("CREATE TEMP TABLE s (id int)")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<50 {
                    group.addTask { try await connection.query("INSERT INTO s VALUES ($1)", [.int4(Int32(number))]) }
                    group.addTask { try await connection.script("INSERT INTO s VALUES (\(number)); SELECT 1") }
                }
                try await group.waitForAll()
            }
            #expect(try await connection.query("SELECT count(*) FROM s").single().decode(Int.self, at: 0) == 100)
        }
    }

    @Test func aScriptThatCopiesIsRefused() async throws {
        for sql in ["CREATE TEMP TABLE s (id int); COPY s FROM STDIN", "COPY (SELECT 1) TO STDOUT"] {
            try await withTestConnection { connection async throws in
                #expect(try await postgresError { try await connection.script(sql) }.isMisuse)
            }
        }
    }

    @Test func aQueryThatCopiesCostsTheConnection() async throws {
        try await withTestConnection { connection in
            let error = try await postgresError { try await connection.query("COPY (SELECT 1) TO STDOUT") }
            #expect(error.isConnectionLost || error.sqlState != nil)
        }
    }

    @Test func aNULCharacterIsRefusedBeforeItIsSent() async throws {
        try await withTestConnection { connection in
            #expect(try await postgresError { try await connection.script("SELECT 1\0") }.isMisuse)
            #expect(try await postgresError { try await connection.query("SELECT 1\0") }.isMisuse)
            #expect(try await postgresError { try await connection.query("SELECT $1", [.unknown("a\0b")]) }.isMisuse)
            let error = try await postgresError { try await connection.query("SELECT $1::text", [.text("a\0b")]) }
            #expect(error.sqlState == "22021")
        }
    }
}
