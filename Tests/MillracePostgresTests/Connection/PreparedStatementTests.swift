import Testing

@testable import MillracePostgres

@Suite(.serialized) struct PreparedStatementCacheTests {
    private func key(_ sql: String) -> PreparedStatementCache.Key {
        .init(statement: PostgresStatement(sql), types: [])
    }

    @Test func onlyThePreparingCallUsesWhatIsNotYetPrepared() throws {
        var cache = PreparedStatementCache(limit: 4)
        guard case .prepareFirst(let name) = cache.use(key("a"), by: 1) else { throw ConditionNotMet(description: "a") }
        #expect(cache.use(key("a"), by: 1) == .prepared(name))
        #expect(cache.use(key("a"), by: 2) == .unnamed)
        cache.prepared(key("a"))
        #expect(cache.use(key("a"), by: 2) == .prepared(name))
    }

    @Test func aFailedPreparationIsForgottenAndItsNameNotUsedAgain() throws {
        var cache = PreparedStatementCache(limit: 4)
        let first = cache.use(key("a"), by: 1)
        cache.failed(key("a"))
        let second = cache.use(key("a"), by: 2)
        #expect(first != second)
        #expect(second != .unnamed)
    }

    @Test func theLeastRecentlyUsedIsEvicted() {
        var cache = PreparedStatementCache(limit: 2)
        for sql in ["a", "b"] {
            _ = cache.use(key(sql), by: 1)
            cache.prepared(key(sql))
        }
        let a = cache.use(key("a"), by: 2)
        _ = cache.use(key("c"), by: 3)
        #expect(cache.use(key("a"), by: 4) == a)
        #expect(cache.count == 2)
        #expect(cache.takeDeallocations().count == 1)
        #expect(cache.deallocations.isEmpty)
    }

    @Test func nothingIsEvictedBeyondTheBacklog() {
        var cache = PreparedStatementCache(limit: 1)
        for number in 0...PreparedStatementCache.maximumBacklog {
            _ = cache.use(key("\(number)"), by: 1)
            cache.prepared(key("\(number)"))
        }
        #expect(cache.use(key("one more"), by: 1) == .unnamed)
    }

    @Test func textsAreComparedWhereDigestsAgree() {
        let digest = PostgresStatement("a").digest
        #expect(digest == PostgresStatement("a").digest)
        #expect(PostgresStatement("a") != PostgresStatement("b"))
        #expect(PostgresStatement("a") != PostgresStatement("a", prepared: false))
        // The published test vector of 64-bit FNV-1a.
        #expect(digest == 0xaf63_dc4c_8601_ec8c)
    }
}

@Suite(.serialized) struct PreparedStatementTests {
    private static let held: PostgresStatement = PostgresStatement(
        "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'm%'",
        prepared: false
    )

    private func held(_ connection: PostgresConnection) async throws -> Int {
        try await connection.query(Self.held).single().decode(Int.self, at: 0)
    }

    @Test func theServerKeepsAsManyAsTheLimit() async throws {
        try await withTestConnection {
            $0.maximumPreparedStatements = 3
        } _: { connection in
            for round in 0..<2 {
                for number in 0..<10 {
                    let rows = try await connection.query(PostgresStatement("SELECT \(number)"))
                    #expect(try rows.single().decode(Int.self, at: 0) == number, "round \(round)")
                }
            }
            #expect(try await held(connection) == 3)
        }
    }

    @Test func noneIsPreparedWhereTheConfigurationSaysSo() async throws {
        try await withTestConnection {
            $0.preparedStatements = false
        } _: { connection in
            for number in 0..<3 {
                try await connection.query("SELECT $1::int8", [.int8(Int64(number))])
            }
            #expect(try await held(connection) == 0)
        }
    }

    @Test func aStatementLostByTheServerIsPreparedAgain() async throws {
        try await withTestConnection { connection in
            let statement: PostgresStatement = "SELECT 7"
            try await connection.query(statement)
            try await connection.query(PostgresStatement("DEALLOCATE ALL", prepared: false))
            #expect(try await connection.query(statement).single().decode(Int.self, at: 0) == 7)
            #expect(try await held(connection) == 1)
        }
    }

    @Test func aChangedResultTypeIsPreparedAgain() async throws {
        try await withTestConnection { connection in
            try await connection.script("CREATE TEMP TABLE changing AS SELECT 1::int4 AS id")
            let statement: PostgresStatement = "SELECT * FROM changing"
            #expect(try await connection.query(statement).columnNames == ["id"])
            try await connection.script("ALTER TABLE changing ADD COLUMN name text")
            #expect(try await connection.query(statement).columnNames == ["id", "name"])
        }
    }

    @Test func withinATransactionAChangedResultTypeFailsOnceOnly() async throws {
        try await withTestConnection { connection in
            try await connection.script("CREATE TEMP TABLE changing AS SELECT 1::int4 AS id")
            let statement: PostgresStatement = "SELECT * FROM changing"
            try await connection.query(statement)
            try await connection.script("ALTER TABLE changing ADD COLUMN name text")
            let error = try await postgresError {
                try await connection.withTransaction { transaction in
                    try await transaction.query("SELECT 1")
                    try await transaction.query(statement)
                }
            }
            #expect(error.sqlState == .featureNotSupported)
            let columns = try await connection.withTransaction { try await $0.query(statement).columnNames }
            #expect(columns == ["id", "name"])
        }
    }

    @Test func aFailingPreparationFailsItsOwnCallOnly() async throws {
        try await withTestConnection { connection async throws in
            async let good = connection.query("SELECT 1")
            async let bad = postgresError { try await connection.query("SELEKT 1") }
            async let better = connection.query("SELECT 2")
            #expect(try await bad.sqlState == .syntaxError)
            #expect(try await good.single().decode(Int.self, at: 0) == 1)
            #expect(try await better.single().decode(Int.self, at: 0) == 2)
        }
    }

    @Test func oneTextWithOtherTypesIsAnotherStatement() async throws {
        try await withTestConnection { connection async throws in
            let statement: PostgresStatement = "SELECT pg_typeof($1)::text"
            #expect(try await connection.query(statement, [.int8(1)]).single().decode(String.self, at: 0) == "bigint")
            #expect(try await connection.query(statement, [.text("1")]).single().decode(String.self, at: 0) == "text")
            #expect(try await connection.query(statement, [.int8(nil)]).single().decode(String.self, at: 0) == "bigint")
            #expect(try await held(connection) == 2)
        }
    }

    @Test func aPipelineMayCreateWhatItUses() async throws {
        try await withTestConnection { connection in
            let results = try await connection.pipeline([
                PostgresCall("CREATE TEMP TABLE fresh (id int8)"),
                PostgresCall("INSERT INTO fresh VALUES ($1)", [.int8(5)]),
                PostgresCall("INSERT INTO fresh VALUES ($1)", [.int8(6)]),
                PostgresCall("SELECT sum(id)::int8 FROM fresh"),
            ])
            #expect(try results[3].single().decode(Int.self, at: 0) == 11)
        }
    }
}
