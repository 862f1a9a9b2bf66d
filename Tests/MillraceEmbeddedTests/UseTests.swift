import Foundation
import Testing

@testable import MillraceEmbedded

@Suite(.serialized) struct UseTests {
    @Test func manyTasksShareOneServerAndTheLastStopsIt() async throws {
        try await Scratch.with { scratch in
            try await withThrowingTaskGroup(of: Int32.self) { group in
                for _ in 0..<6 {
                    group.addTask {
                        let postgres = try await scratch.use()
                        let answer = try await scratch.sql("SELECT 1", postgres.connectionString)
                        #expect(answer == "1")
                        await postgres.release()
                        return postgres.processID
                    }
                }
                for try await _ in group {}
            }
            #expect(try !scratch.isServerAlive())
        }
    }

    @Test func processesShareOneServerAndTheLastStopsIt() async throws {
        try await Scratch.with { scratch in
            let first = try await Holder.start("use", scratch.folder)
            let second = try await Holder.start("use", scratch.folder)
            let third = try await Holder.start("use", scratch.folder)
            #expect(Set([first, second, third].map(\.serverProcessID)).count == 1)
            // The one whose child the server is goes first.
            await first.leave()
            #expect(try scratch.isServerAlive())
            // One that is killed counts as gone.
            await second.kill()
            #expect(try scratch.isServerAlive())
            await third.leave()
            #expect(try !scratch.isServerAlive())
        }
    }

    @Test func leavesAServerThatSomebodyKeeps() async throws {
        try await Scratch.with { scratch in
            let kept = try await scratch.start()
            let used = try await scratch.use()
            #expect(used.processID == kept.processID)
            #expect(used.url == kept.url)
            await used.release()
            #expect(try await scratch.sql("SELECT 1", kept.connectionString) == "1")
            try await kept.stop()
        }
    }

    @Test func aKeeperTakesOverAServerInUse() async throws {
        try await Scratch.with { scratch in
            let used = try await scratch.use()
            let kept = try await scratch.start()
            #expect(used.processID == kept.processID)
            await used.release()
            #expect(try await scratch.sql("SELECT 1", kept.connectionString) == "1")
            try await kept.stop()
            try await kept.waitUntilExit()
        }
    }

    @Test func startsAgainWhereTheServerWasKilledUnderItsUsers() async throws {
        try await Scratch.with { scratch in
            let first = try await scratch.use()
            kill(first.processID, SIGKILL)
            try await eventually("the server is dead") {
                try await !ProcessTable.serverProcesses(cluster: scratch.cluster).contains(first.processID)
            }
            let second = try await scratch.use()
            #expect(try await scratch.sql("SELECT 1", second.connectionString) == "1")
            await first.release()
            #expect(try scratch.isServerAlive())
            await second.release()
            #expect(try !scratch.isServerAlive())
        }
    }
}
