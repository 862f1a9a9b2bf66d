import Foundation
import Millrace
import MillracePostgres
import Testing

@Suite("millrace demo")
struct DemoTests {
    @Test("with --json is one document, whose checks hold")
    func json() async throws {
        try await CommandTest.with { test in
            let result = try await test.command.run(["demo", "--orders", "20", "--json"])
            #expect(result.status == 0, "\(result.error)")
            #expect(result.output.split(separator: "\n").count == 1)
            let summary = try result.json()
            let checks = try #require(summary["checks"] as? [[String: Any]])
            #expect(checks.count >= 6)
            #expect(checks.allSatisfy { $0["holds"] as? Bool == true })
            #expect(try await test.events == Int64(try #require(summary["stored"] as? Int)))
            #expect(summary["published"] as? Int == summary["stored"] as? Int)
        }
    }

    @Test("writes into no database that only the environment names", arguments: ["DATABASE_URL", "PG"])
    func environment(kind: String) async throws {
        try await CommandTest.with { test in
            let socket = try #require(try await test.texts("SHOW unix_socket_directories").first).split(separator: ",")[
                0
            ]
            let port = try #require(try await test.texts("SHOW port").first)
            let name = try #require(try await test.texts("SELECT current_database()::text").first)
            let variables =
                kind == "PG"
                ? "PGHOST=\(String(socket).shellQuoted) PGHOSTADDR=127.0.0.1 PGPORT=\(port) PGDATABASE=\(name)"
                : "DATABASE_URL=\(test.command.database.shellQuoted)"
            let folder = test.folder.path + "/own"
            let words = [Command.program, "demo", "--orders", "5", "--json", "--data-dir", folder].map(\.shellQuoted)
            let script = "\(variables) \(words.joined(separator: " "))"
            let result = try await Running("/bin/sh", ["-c", script], nil, test.folder).result()
            #expect(result.status == 0, "\(result.error)")
            #expect(try result.json()["published"] as? Int ?? 0 > 0)
            #expect(FileManager.default.fileExists(atPath: folder))
            #expect(try await test.events == 0)
        }
    }
}
