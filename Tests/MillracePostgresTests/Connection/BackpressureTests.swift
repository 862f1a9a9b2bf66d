import MillracePostgres
import Testing

@Suite(.serialized) struct BackpressureTests {
    /// Both sides write at once: the statements and their answers are far more than the buffers of the sockets hold.
    @Test(.timeLimit(.minutes(15))) func aThousandMegabytesThereAndBackOnOneConnection() async throws {
        let megabyte = [UInt8](repeating: 0x5A, count: 1 << 20)
        try await withTestConnection {
            $0.maximumPipelineBytes = 64 << 20
        } _: { connection in
            let statement: PostgresStatement = "SELECT $1"
            let total = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<1_000 {
                    group.addTask {
                        let row = try await connection.query(statement, [.bytea(megabyte)]).single()
                        return row.withBytes(at: 0) { bytes in
                            bytes.first == 0x5A && bytes.last == 0x5A ? bytes.count : 0
                        }
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(total == 1_000 << 20)
        }
    }

    @Test func aPipelineLargerThanTheLimitsStillRuns() async throws {
        try await withTestConnection {
            $0.maximumPipelineBytes = 1_000
            $0.maximumPipelineDepth = 1
        } _: { connection in
            let text = String(repeating: "x", count: 10_000)
            let results = try await connection.pipeline(
                (0..<500).map { _ in PostgresCall("SELECT length($1)", [.text(text)]) }
            )
            #expect(results.count == 500)
            #expect(try results[499].single().decode(Int.self, at: 0) == 10_000)
        }
    }

    @Test func tooManyQueuedCallsAreRefused() async throws {
        try await withTestConnection { connection in
            let error = try await postgresError {
                try await connection.query("SELECT 1", Array(repeating: .null, count: 70_000))
            }
            #expect(error.isMisuse)
        }
        try await withTestConnection {
            $0.maximumQueuedCalls = 1
            $0.maximumPipelineDepth = 1
        } _: { connection in
            let outcomes = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        do {
                            try await connection.query("SELECT pg_sleep(0.05)")
                            return true
                        } catch let error as PostgresError {
                            return !error.isMisuse
                        } catch {
                            return true
                        }
                    }
                }
                return await group.reduce(into: [Bool]()) { $0.append($1) }
            }
            #expect(outcomes.contains(false))
            #expect(outcomes.contains(true))
        }
    }
}
