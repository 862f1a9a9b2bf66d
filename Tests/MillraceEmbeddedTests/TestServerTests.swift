import Foundation
import MillraceTesting
import Testing

@testable import MillraceEmbedded

@Suite(.serialized) struct TestServerTests {
    @Test func givesEveryTestADatabaseOfItsOwn() async throws {
        try await Scratch.with { scratch in
            let server = try await TestServer.shared()
            #expect(try await TestServer.shared() === server)
            try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        try await server.withDatabase { database in
                            _ = try await scratch.sql("CREATE TABLE mine ()", database)
                            return try await scratch.sql("SELECT current_database()", database)
                        }
                    }
                }
                var names: Set<String> = []
                for try await name in group { names.insert(name) }
                #expect(names.count == 4)
                let left = "SELECT count(*) FROM pg_database WHERE datname IN ('\(names.joined(separator: "', '"))')"
                #expect(try await scratch.sql(left, server.postgres.connectionString) == "0")
            }
        }
    }

    @Test func preparesATemplateOnce() async throws {
        try await Scratch.with { scratch in
            let server = try await TestServer.shared()
            for _ in 0..<2 {
                let template = try await server.template(named: "prepared_once") { database in
                    _ = try await scratch.sql("CREATE TABLE prepared AS SELECT 42 AS n", database)
                }
                let answer = try await server.withDatabase(template: template) { database in
                    try await scratch.sql("SELECT n FROM prepared", database)
                }
                #expect(answer == "42")
            }
        }
    }

    @Test func leavesNothingWhenItsProcessEnds() async throws {
        let holder = try await Holder.start("test", "-")
        #expect(FileManager.default.fileExists(atPath: holder.folder))
        await holder.leave()
        try await expectNothingLeft(of: holder)
    }

    @Test func leavesNothingWhenItsProcessIsKilled() async throws {
        let holder = try await Holder.start("test", "-")
        await holder.kill()
        try await expectNothingLeft(of: holder)
    }

    @Test func survivesARestartWithItsData() async throws {
        try await Scratch.with { scratch in
            let server = try await TestServer.start(.full)
            #expect(try await scratch.sql("SHOW fsync", server.postgres.connectionString) == "on")
            _ = try await scratch.sql("CREATE TABLE kept AS SELECT 42 AS n", server.postgres.connectionString)
            kill(server.postgres.processID, SIGKILL)
            try await server.postgres.stop()
            let next = try await server.restart(.full)
            #expect(try await scratch.sql("SELECT n FROM kept", next.postgres.connectionString) == "42")
            try await next.remove()
        }
    }

    private func expectNothingLeft(of holder: Holder) async throws {
        try await eventually("the guard has removed the folder") {
            !FileManager.default.fileExists(atPath: holder.folder)
        }
        let command = FileManager.default.contents(atPath: "/proc/\(holder.serverProcessID)/cmdline") ?? Data()
        #expect(!String(decoding: command, as: UTF8.self).contains(holder.folder))
    }
}
