import MillracePostgres
import Testing

@Suite(.serialized) struct QueryTests {
    @Test func aStatementAnswersWithItsRows() async throws {
        try await withTestConnection { connection in
            let rows = try await connection.query("SELECT i, i::text AS t FROM generate_series(1, $1) i", [.int4(3)])
            #expect(rows.columnNames == ["i", "t"])
            #expect(rows.affectedRows == 3)
            #expect(try rows.map { try $0.decode(Int.self, at: 0) } == [1, 2, 3])
            #expect(try rows[2].decode(String.self, named: "t") == "3")
            let (number, text) = try rows[0].decode(Int32.self, String?.self)
            #expect(number == 1)
            #expect(text == "1")
        }
    }

    @Test func aFailedStatementLeavesTheConnectionUsable() async throws {
        try await withTestConnection { connection in
            let error = try await postgresError { try await connection.query("SELECT nothing FROM nowhere") }
            #expect(error.sqlState == .undefinedTable)
            #expect(try await connection.query("SELECT 1").single().decode(Int.self, at: 0) == 1)
        }
    }

    @Test func aThousandTasksShareAConnection() async throws {
        try await withTestConnection { connection in
            let sum = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 1...1_000 {
                    group.addTask {
                        try await connection.query("SELECT $1::int8", [.int8(Int64(number))]).single()
                            .decode(Int.self, at: 0)
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(sum == 500_500)
        }
    }

    @Test func aPipelineIsOneImplicitTransaction() async throws {
        try await withTestConnection { connection in
            let table = uniqueName("pipeline")
            try await connection.script("CREATE TEMP TABLE \(table) (id int PRIMARY KEY)")
            let insert = PostgresStatement("INSERT INTO \(table) VALUES ($1)")
            let error = try await postgresError {
                try await connection.pipeline([1, 2, 2, 3].map { PostgresCall(insert, [.int4($0)]) })
            }
            #expect(error.sqlState == .uniqueViolation)
            let count = PostgresStatement("SELECT count(*) FROM \(table)")
            #expect(try await connection.query(count).single().decode(Int.self, at: 0) == 0)
            let results = try await connection.pipeline([
                PostgresCall(insert, [.int4(1)]), PostgresCall(count), PostgresCall(insert, [.int4(2)]),
                PostgresCall(count),
            ])
            #expect(try results[1].single().decode(Int.self, at: 0) == 1)
            #expect(try results[3].single().decode(Int.self, at: 0) == 2)
        }
    }
}
