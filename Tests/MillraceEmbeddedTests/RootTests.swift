import Foundation
import Testing

@testable import MillraceEmbedded

@Suite(.serialized) struct RootTests {
    @Test(.enabled(if: isRoot, "only root runs the server under another account"))
    func aFolderOutOfTheAccountsReachKeepsItsDataElsewhere() async throws {
        try await Scratch.with(isReachable: false) { scratch in
            let first = try await scratch.start()
            let place = scratch.cluster
            #expect(place.hasPrefix(DataFolder.remote))
            _ = try await scratch.sql("CREATE TABLE kept AS SELECT 42 AS n", first.connectionString)
            try await first.stop()
            let second = try await scratch.start()
            #expect(try await scratch.sql("SELECT n FROM kept", second.connectionString) == "42")
            try await second.stop()

            // Removed while the server runs and made anew, it does not meet the old data.
            let abandoned = try await scratch.start()
            try FileManager.default.removeItem(atPath: scratch.folder)
            let third = try await scratch.start()
            #expect(scratch.cluster != place)
            try await eventually("the server that nobody can reach is gone") {
                try await ProcessTable.serverProcesses(cluster: place).isEmpty
            }
            _ = abandoned.processID
            #expect(try await scratch.sql("SELECT to_regclass('kept') IS NULL", third.connectionString) == "t")
            try await third.stop()
            try FileManager.default.removeItem(atPath: place)
            try FileManager.default.removeItem(atPath: place + ".origin")
        }
    }

    @Test(.enabled(if: isRoot, "only root runs the server under another account"))
    func theServerRunsUnderTheNamedAccount() async throws {
        try await Scratch.with { scratch in
            let postgres = try await scratch.start { $0.environment["MILLRACE_PG_ACCOUNT"] = "nobody" }
            let owner = try #require(PrivateFile.owner(of: "/proc/\(postgres.processID)"))
            #expect(owner == 65_534)
            try await postgres.stop()
            // The owner of data that is there comes first.
            let again = try await scratch.start()
            #expect(PrivateFile.owner(of: "/proc/\(again.processID)") == owner)
            try await again.stop()
        }
    }

    @Test(.enabled(if: isRoot, "only root can mount a small disk"))
    func aFullDiskIsNamedAndLosesNothing() async throws {
        try await Scratch.with { scratch in
            // Too small for the first write-ahead log.
            try await withDisk(at: scratch.root + "/tiny", megabytes: 24) { disk in
                await #expect(throws: EmbeddedPostgresError.diskFull(folder: disk + "/data/postgres")) {
                    _ = try await scratch.start { $0.dataDirectory = disk + "/data" }
                }
                let left = try FileManager.default.contentsOfDirectory(atPath: disk + "/data")
                #expect(!left.contains { $0.hasPrefix("postgres") })
            }
            try await withDisk(at: scratch.root + "/small", megabytes: 160) { disk in
                let first = try await scratch.start { $0.dataDirectory = disk + "/data" }
                _ = try await scratch.sql("CREATE TABLE kept AS SELECT 42 AS n", first.connectionString)
                try await first.stop()
                let filler = disk + "/filler"
                try await fill(filler)
                await #expect(throws: EmbeddedPostgresError.diskFull(folder: disk + "/data/millrace.conf")) {
                    do {
                        _ = try await scratch.start { $0.dataDirectory = disk + "/data" }
                    } catch EmbeddedPostgresError.diskFull {
                        throw EmbeddedPostgresError.diskFull(folder: disk + "/data/millrace.conf")
                    }
                }
                try FileManager.default.removeItem(atPath: filler)
                let second = try await scratch.start { $0.dataDirectory = disk + "/data" }
                #expect(try await scratch.sql("SELECT n FROM kept", second.connectionString) == "42")
                try await second.stop()
            }
        }
    }

    private func withDisk(at path: String, megabytes: Int, _ body: (String) async throws -> Void) async throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        let options = ["-t", "tmpfs", "-o", "size=\(megabytes)m,mode=0755", "millrace-test", path]
        let mounted = try await Program(path: "/bin/mount").run(options, environment: [:])
        guard mounted.succeeded else { try Test.cancel("this root cannot mount: \(mounted.reason)") }
        do {
            try await body(path)
        } catch {
            _ = try await Program(path: "/bin/umount").run(["-l", path], environment: [:])
            throw error
        }
        _ = try await Program(path: "/bin/umount").run(["-l", path], environment: [:])
    }

    /// Writes until nothing more fits.
    private func fill(_ path: String) async throws {
        _ = try await Program(path: "/bin/dd").run(["if=/dev/zero", "of=\(path)", "bs=64k"], environment: [:])
        _ = try await Program(path: "/bin/dd").run(
            ["if=/dev/zero", "of=\(path)", "bs=1", "oflag=append", "conv=notrunc", "count=70000"],
            environment: [:]
        )
    }
}
