import Foundation
import Testing

@testable import MillraceEmbedded

// Serialised, as its neighbours are: a server for each of these tests at once would keep two cores busy for a minute.
@Suite(.serialized) struct StartAndStopTests {
    @Test func startsStopsAndStartsAgainWithItsData() async throws {
        try await Scratch.with { scratch in
            let clock = ContinuousClock()
            let begin = clock.now
            let first = try await scratch.start()
            let initialised = clock.now - begin
            _ = try await scratch.sql("CREATE TABLE kept AS SELECT 42 AS n", first.connectionString)
            try await first.stop()
            #expect(try !scratch.isServerAlive())
            try await first.stop()

            let again = clock.now
            let second = try await scratch.start()
            print("first start \(initialised), restart \(clock.now - again)")
            #expect(try await scratch.sql("SELECT n FROM kept", second.connectionString) == "42")
            #expect(second.port == first.port)
            try await second.stop()
        }
    }

    @Test func refusesASecondStarterAndNamesTheFirst() async throws {
        try await Scratch.with { scratch in
            let first = try await scratch.start()
            await #expect(
                throws: EmbeddedPostgresError.alreadyRunning(
                    folder: first.dataDirectory,
                    processID: first.processID,
                    url: first.url
                )
            ) {
                _ = try await scratch.start()
            }
            #expect(try await scratch.sql("SELECT 1", first.connectionString) == "1")
            try await first.stop()
        }
    }

    @Test func refusesASecondStarterOfAnotherProcess() async throws {
        try await Scratch.with { scratch in
            let holder = try await Holder.start("keep", scratch.folder)
            await #expect(throws: EmbeddedPostgresError.self) { _ = try await scratch.start() }
            await holder.leave()
            #expect(try !scratch.isServerAlive())
            try await scratch.start().stop()
        }
    }

    @Test func aKeeperNoticesAnUnexpectedEnd() async throws {
        try await Scratch.with { scratch in
            let postgres = try await scratch.start()
            let end = Task { try await postgres.waitUntilExit() }
            kill(postgres.processID, SIGKILL)
            await #expect(throws: EmbeddedPostgresError.self) { try await end.value }
            try await postgres.stop()

            let next = try await scratch.start()
            async let stopped: Void = next.waitUntilExit()
            try await next.stop()
            try await stopped
        }
    }

    @Test func aControlCAtTheTerminalDoesNotReachTheServer() async throws {
        try await Scratch.with { scratch in
            let postgres = try await scratch.start()
            #expect(getsid(postgres.processID) == postgres.processID)
            try await postgres.stop()
        }
    }

    @Test func listensToASocketOnly() async throws {
        try await Scratch.with { scratch in
            let postgres = try await scratch.start { $0.listen = .socketOnly }
            #expect(postgres.port == nil)
            #expect(try await scratch.sql("SHOW listen_addresses", postgres.connectionString) == "")
            #expect(try await scratch.sql("SELECT inet_server_addr() IS NULL", postgres.url) == "t")
            let folder = try #require(PostmasterFile(cluster: scratch.cluster)).socketFolder
            let mode = try FileManager.default.attributesOfItem(atPath: folder)[.posixPermissions] as? Int
            #expect(mode == 0o700)
            #expect(folder.utf8.count + "/.s.PGSQL.65535".utf8.count <= 107)
            try await postgres.stop()
            #expect(!FileManager.default.fileExists(atPath: folder))
        }
    }

    @Test func neverUsesASocketFolderThatSomebodyElseMade() async throws {
        try await Scratch.with { scratch in
            let first = try await scratch.start()
            let usual = try #require(PostmasterFile(cluster: scratch.cluster)).socketFolder
            try await first.stop()
            // A symbolic link to where others can write.
            try FileManager.default.createSymbolicLink(atPath: usual, withDestinationPath: scratch.root)
            let second = try await scratch.start()
            let other = try #require(PostmasterFile(cluster: scratch.cluster)).socketFolder
            #expect(other != usual)
            #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.root) == ["data"])
            try await second.stop()
            try FileManager.default.removeItem(atPath: usual)
        }
    }
}
