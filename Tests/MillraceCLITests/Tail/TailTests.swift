import Foundation
import Testing

@Suite("millrace tail")
struct TailTests {
    @Test("ends at Ctrl-C without a word, and leaves no server of its own running")
    func interrupted() async throws {
        try await Scratch.with { folder in
            let data = folder.path + "/data"
            let output = folder.path + "/output"
            let place = ["--data-dir", data]
            func script(_ arguments: [String], _ more: String = "") -> [String] {
                let words = ([Command.program] + arguments + place).map(\.shellQuoted).joined(separator: " ")
                let without = "unset DATABASE_URL PGHOST PGHOSTADDR PGPORT PGDATABASE PGSERVICE"
                return ["-c", "\(without); exec \(words) \(more)"]
            }
            let publish = try await Running("/bin/sh", script(["publish", "a", "b", "c"]), nil, folder).result()
            #expect(publish.status == 0, "\(publish.error)")
            let tail = script(["tail", "--from", "start"], "> \(output.shellQuoted)")
            let running = try await Running("/bin/sh", tail, nil, folder)
            try await eventually("the event is printed") {
                (try? String(contentsOfFile: output, encoding: .utf8))?.hasSuffix("\n") == true
            }
            running.interrupt()
            let ended = try await running.result()
            #expect(ended.status == 0)
            #expect(ended.error.isEmpty, "\(ended.error)")
            let files = try #require(FileManager.default.enumerator(atPath: data)).compactMap { $0 as? String }
            #expect(files.contains { $0.hasSuffix("PG_VERSION") })
            #expect(!files.contains { $0.hasSuffix("postmaster.pid") })
        }
    }
}
