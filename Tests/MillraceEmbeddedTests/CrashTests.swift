import Foundation
import Subprocess
import Testing

@testable import MillraceEmbedded

#if canImport(System)
    import System
#else
    import SystemPackage
#endif
#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

@Suite(.serialized) struct CrashTests {
    @Test func recoversWhenTheServerIsKilled() async throws {
        try await Scratch.with { scratch in
            let first = try await scratch.start()
            _ = try await scratch.sql("CREATE TABLE kept AS SELECT 42 AS n", first.connectionString)
            kill(first.processID, SIGKILL)
            // Its backends still end while the next one starts.
            try await first.stop()
            let second = try await scratch.start()
            #expect(try await scratch.sql("SELECT n FROM kept", second.connectionString) == "42")
            try await second.stop()
        }
    }

    @Test func takesTheServerOverWhenItsKeeperIsKilled() async throws {
        try await Scratch.with { scratch in
            let holder = try await Holder.start("keep", scratch.folder)
            await holder.kill()
            #expect(try scratch.isServerAlive())
            let next = try await scratch.start()
            #expect(next.processID != holder.serverProcessID)
            #expect(try await scratch.sql("SELECT 1", next.connectionString) == "1")
            try await next.stop()
        }
    }

    @Test func recoversWhenBothAreKilled() async throws {
        try await Scratch.with { scratch in
            let holder = try await Holder.start("keep", scratch.folder)
            kill(holder.serverProcessID, SIGKILL)
            await holder.kill()
            let next = try await scratch.start()
            #expect(try await scratch.sql("SELECT 1", next.connectionString) == "1")
            try await next.stop()
        }
    }

    @Test(.enabled(if: isLinux, "only Linux shows the state of a process in /proc"))
    func isNotDeceivedByAZombie() async throws {
        try await Scratch.with { scratch in
            try await scratch.start().stop()
            try await withUnreapedServer(scratch) { processID in
                kill(processID, SIGKILL)
                try await eventually("the killed server stays as a zombie") { state(of: processID) == "Z" }
                #expect(kill(processID, 0) == 0)
                #expect(PostmasterFile.processID(cluster: scratch.cluster) == processID)
                let postgres = try await scratch.start()
                #expect(state(of: processID) == "Z")
                #expect(try await scratch.sql("SELECT 1", postgres.connectionString) == "1")
                try await postgres.stop()
            }
        }
    }

    @Test func isNotDeceivedByARecycledProcessID() async throws {
        try await Scratch.with { scratch in
            try await Scratch.with { other in
                let stranger = try await other.start()
                let first = try await scratch.start()
                let file = PostmasterFile.path(in: scratch.cluster)
                let left = try String(contentsOfFile: file, encoding: .utf8)
                try await first.stop(.immediate)
                // Another program, and the server of another folder.
                for processID in [getpid(), stranger.processID] {
                    let lines = ["\(processID)"] + left.split(separator: "\n").dropFirst().map(String.init)
                    let text = lines.joined(separator: "\n") + "\n"
                    try PrivateFile.write(text, to: file, owner: scratch.account())
                    let next = try await scratch.start()
                    #expect(try await scratch.sql("SELECT 1", next.connectionString) == "1")
                    try await next.stop()
                }
                #expect(try await other.sql("SELECT 1", stranger.connectionString) == "1")
                try await stranger.stop()
            }
        }
    }

    @Test func leavesAServerAloneThatWasStartedByHand() async throws {
        try await Scratch.with { scratch in
            try await scratch.start().stop()
            let installation = try await scratch.installation()
            let arguments = ["-D", scratch.cluster, "-w", "-l", scratch.cluster + "/hand.log"]
            let socket = ["-o", "-c listen_addresses= -c unix_socket_directories=\(scratch.cluster)"]
            let control = installation.program("pg_ctl")
            let environment = Program.environment(from: ProcessInfo.processInfo.environment)
            let account = try scratch.account()
            let started = try await control.run(["start"] + arguments + socket, as: account, environment: environment)
            try #require(started.succeeded, "\(started.errors)")
            let processID = try #require(PostmasterFile.processID(cluster: scratch.cluster))
            await #expect(
                throws: EmbeddedPostgresError.foreignServer(
                    folder: try DataFolder(scratch.folder).path,
                    processID: processID
                )
            ) {
                _ = try await scratch.start()
            }
            let stopped = try await control.run(["stop"] + arguments, as: account, environment: environment)
            #expect(stopped.succeeded)
        }
    }

    @Test func startsAfreshAfterAnInterruptedInitialisation() async throws {
        try await Scratch.with { scratch in
            let holder = try await Holder.start("keep", scratch.folder, isAwaited: false)
            try await eventually("initdb has begun to write") {
                let names = (try? FileManager.default.contentsOfDirectory(atPath: scratch.folder)) ?? []
                return names.contains {
                    FileManager.default.fileExists(atPath: "\(scratch.folder)/\($0)/PG_VERSION")
                }
            }
            #expect(!FileManager.default.fileExists(atPath: scratch.folder + "/postgres"))
            await holder.kill()
            let postgres = try await scratch.start()
            #expect(try await scratch.sql("SELECT 1", postgres.connectionString) == "1")
            let left = try FileManager.default.contentsOfDirectory(atPath: scratch.folder).filter {
                $0.contains(".new-")
            }
            #expect(left == [])
            try await postgres.stop()
        }
    }

    /// Runs the server as the child of a process that never reaps, with Millrace's lock.
    private func withUnreapedServer(_ scratch: Scratch, _ body: (Int32) async throws -> Void) async throws {
        let folder = try DataFolder(scratch.folder)
        let account = try scratch.account()
        // Where the next start puts its socket: the lock file beside it must not deceive either.
        let socket = try SocketFolder.make(for: folder, account: account)
        let port = try String(contentsOfFile: folder.portFile, encoding: .utf8).filter(\.isNumber)
        let command = try await scratch.installation().program("postgres").command(
            [
                "-D", scratch.cluster, "-c", "listen_addresses=", "-c", "unix_socket_directories=\(socket)", "-c",
                "port=\(port)",
            ],
            as: account
        )
        var lock = try FileLock.take(.exclusive, on: folder.serverLock)
        let descriptor = try #require(lock).descriptor
        // The shell becomes a sleep, which knows of no children.
        let script = "\"$@\" <&0 >/dev/null 2>&1 & exec sleep 600 </dev/null >/dev/null 2>&1"
        _ = try await Subprocess.run(
            .path("/bin/sh"),
            arguments: Arguments(["-c", script, "sh", command.path] + command.arguments),
            workingDirectory: "/",
            platformOptions: Program.options(for: nil),
            input: .fileDescriptor(FileDescriptor(rawValue: descriptor), closeAfterSpawningProcess: false),
            output: .discarded,
            error: .discarded
        ) { execution in
            lock?.bequeath()
            lock = nil
            defer { kill(execution.processIdentifier.value, SIGKILL) }
            try await eventually("the server is ready") {
                PostmasterFile(cluster: scratch.cluster)?.isReady == true
            }
            try await body(try #require(PostmasterFile(cluster: scratch.cluster)).processID)
        }
    }

    private func state(of processID: Int32) -> Character? {
        guard let data = FileManager.default.contents(atPath: "/proc/\(processID)/stat") else { return nil }
        return String(decoding: data, as: UTF8.self).split(separator: ")").last?.first { $0 != " " }
    }
}

#if os(Linux)
    let isLinux = true
#else
    let isLinux = false
#endif
