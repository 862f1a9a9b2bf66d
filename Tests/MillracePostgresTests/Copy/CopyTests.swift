import MillracePostgres
import Testing

@Suite(.serialized) struct CopyInTests {
    private struct Refused: Error {}

    private func withTable(_ body: (PostgresConnection) async throws -> Void) async throws {
        try await withTestConnection { connection in
            try await connection.script("CREATE TEMP TABLE c (id int8, t text)")
            try await body(connection)
        }
    }

    private func count(_ connection: PostgresConnection) async throws -> Int {
        try await connection.query("SELECT count(*) FROM c").single().decode(Int.self, at: 0)
    }

    @Test func rowsAreStoredAndCounted() async throws {
        try await withTable { connection in
            let rows = try await connection.copyIn("COPY c FROM STDIN") { writer in
                for number in 0..<1_000 { try await writer.write([UInt8]("\(number)\ttext".utf8) + [10]) }
            }
            #expect(rows == 1_000)
            #expect(try await count(connection) == 1_000)
        }
    }

    @Test func aCopyOfNothingStoresNothing() async throws {
        try await withTable { connection async throws in
            #expect(try await connection.copyIn("COPY c FROM STDIN") { _ in } == 0)
            #expect(try await connection.copyIn("COPY c FROM STDIN") { try await $0.write([]) } == 0)
            #expect(try await count(connection) == 0)
        }
    }

    /// The writer is far faster than the server: without back-pressure all of it would pile up in memory.
    @Test func theWriterWaitsForTheServer() async throws {
        try await withTable { connection in
            let line = [UInt8]("1\t\(String(repeating: "x", count: 1_000))\n".utf8)
            let chunk = [UInt8](repeatElement(line, count: 1_000).joined())
            let rows = try await connection.copyIn("COPY c FROM STDIN") { writer in
                for _ in 0..<50 { try await writer.write(chunk) }
            }
            #expect(rows == 50_000)
        }
    }

    @Test func severalTasksMayWrite() async throws {
        try await withTable { connection in
            let rows = try await connection.copyIn("COPY c FROM STDIN") { writer in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<100 {
                        group.addTask {
                            try await writer.write(
                                [UInt8]("\(number)\t\(String(repeating: "y", count: 50_000))\n".utf8)
                            )
                        }
                    }
                    try await group.waitForAll()
                }
            }
            #expect(rows == 100)
        }
    }

    @Test func aBadRowStoresNothing() async throws {
        try await withTable { connection in
            let error = try await postgresError {
                try await connection.copyIn("COPY c FROM STDIN") { writer in
                    try await writer.write([UInt8]("1\ta\nx\tb\n".utf8))
                    for _ in 0..<1_000 { try await writer.write([UInt8]("2\tc\n".utf8)) }
                }
            }
            #expect(error.sqlState == .invalidTextRepresentation)
            #expect(try await count(connection) == 0)
        }
    }

    @Test func aThrowOfTheBodyStoresNothingAndKeepsTheConnection() async throws {
        try await withTable { connection async throws in
            await #expect(throws: Refused.self) {
                try await connection.copyIn("COPY c FROM STDIN") { writer in
                    try await writer.write([UInt8]("1\ta\n".utf8))
                    throw Refused()
                }
            }
            #expect(try await count(connection) == 0)
        }
    }

    @Test func aStatementThatIsNoCopyIsRefused() async throws {
        try await withTable { connection async throws in
            #expect(try await postgresError { try await connection.copyIn("SELECT 1") { _ in } }.isMisuse)
            #expect(
                try await postgresError { try await connection.copyIn("SELEKT 1") { _ in } }.sqlState == .syntaxError
            )
            #expect(try await count(connection) == 0)
        }
    }

    @Test func aCopyThatGoesTheOtherWayIsRefused() async throws {
        try await withTable { connection in
            let error = try await postgresError { try await connection.copyIn("COPY c TO STDOUT") { _ in } }
            #expect(error.isConnectionLost)
        }
    }

    @Test func aWriterIsOfNoUseAfterItsCopy() async throws {
        try await withTable { connection in
            var kept: PostgresCopyWriter?
            _ = try await connection.copyIn("COPY c FROM STDIN") { kept = $0 }
            let writer = try #require(kept)
            #expect(try await postgresError { try await writer.write([1]) }.isMisuse)
            #expect(try await count(connection) == 0)
        }
    }

    @Test func otherStatementsWaitForTheCopy() async throws {
        try await withTable { connection in
            let task = try await withThrowingTaskGroup(of: Int.self) { group in
                _ = try await connection.copyIn("COPY c FROM STDIN") { writer in
                    group.addTask { try await count(connection) }
                    try await writer.write([UInt8]("1\ta\n".utf8))
                }
                return try await group.next()
            }
            #expect(task == 1)
        }
    }
}

@Suite(.serialized) struct CopyOutTests {
    private struct Enough: Error {}

    @Test func eachRowIsHandedOut() async throws {
        try await withTestConnection { connection in
            var rows: [String] = []
            let count = try await connection.copyOut("COPY (SELECT i FROM generate_series(1, 3) i) TO STDOUT") {
                rows.append(String(decoding: $0, as: UTF8.self))
            }
            #expect(count == 3)
            #expect(rows == ["1\n", "2\n", "3\n"])
            #expect(try await connection.query("SELECT 1").count == 1)
        }
    }

    @Test func manyRowsAreHandedOutInOrder() async throws {
        try await withTestConnection { connection in
            var next = 1
            let count = try await connection.copyOut(
                "COPY (SELECT i, repeat('x', 100) FROM generate_series(1, 100000) i) TO STDOUT"
            ) {
                row in
                #expect(row.starts(with: "\(next)\t".utf8))
                next += 1
            }
            #expect(count == 100_000)
            #expect(next == 100_001)
        }
    }

    @Test func noRowsAreNoError() async throws {
        try await withTestConnection { connection async throws in
            #expect(try await connection.copyOut("COPY (SELECT 1 WHERE false) TO STDOUT") { _ in } == 0)
        }
    }

    @Test func anErrorAmongTheRowsIsThrown() async throws {
        try await withTestConnection { connection in
            let error = try await postgresError {
                try await connection.copyOut("COPY (SELECT 1 / (1000 - i) FROM generate_series(1, 2000) i) TO STDOUT") {
                    _ in
                }
            }
            #expect(error.sqlState == "22012")
            #expect(try await connection.query("SELECT 1").count == 1)
        }
    }

    @Test func aThrowOfTheBodyCostsTheConnection() async throws {
        try await withClient { client in
            let pid = try await client.withConnection { connection in
                await #expect(throws: Enough.self) {
                    try await connection.copyOut("COPY (SELECT generate_series(1, 100000000)) TO STDOUT") { _ in
                        throw Enough()
                    }
                }
                return connection.backendProcessID
            }
            try await untilGone(pid: pid, on: client)
        }
    }

    @Test func binaryRowsPassThrough() async throws {
        try await withTestConnection { connection in
            try await connection.script(
                "CREATE TEMP TABLE b (id int8); INSERT INTO b SELECT generate_series(1, 5000); CREATE TEMP TABLE b2 (id int8)"
            )
            var bytes: [UInt8] = []
            #expect(try await connection.copyOut("COPY b TO STDOUT BINARY") { bytes += $0 } == 5_000)
            #expect(try await connection.copyIn("COPY b2 FROM STDIN BINARY") { try await $0.write(bytes) } == 5_000)
        }
    }
}
