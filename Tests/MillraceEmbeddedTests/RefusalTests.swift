import Foundation
import Testing

@testable import MillraceEmbedded

@Suite(.serialized) struct RefusalTests {
    @Test func aFixedPortThatIsTaken() async throws {
        try await Scratch.with { scratch in
            try await Scratch.with { other in
                let holder = try await other.start()
                let port = try #require(holder.port)
                await #expect(throws: EmbeddedPostgresError.portTaken(port)) {
                    _ = try await scratch.start { $0.listen = .loopback(port: port) }
                }
                try await holder.stop()
                let postgres = try await scratch.start { $0.listen = .loopback(port: port) }
                #expect(postgres.port == port)
                try await postgres.stop()
            }
        }
    }

    @Test func aChosenPortThatIsTakenIsReplaced() async throws {
        try await Scratch.with { scratch in
            try await Scratch.with { other in
                let first = try await scratch.start()
                let port = try #require(first.port)
                try await first.stop()
                let holder = try await other.start { $0.listen = .loopback(port: port) }
                let second = try await scratch.start()
                #expect(second.port != port)
                #expect(try await scratch.sql("SELECT 1", second.url) == "1")
                try await second.stop()
                try await holder.stop()
            }
        }
    }

    @Test func aFolderThatCannotBeMade() async throws {
        try await Scratch.with { scratch in
            try PrivateFile.write("a file\n", to: scratch.root + "/file")
            await #expect {
                _ = try await scratch.start { $0.dataDirectory = scratch.root + "/file/data" }
            } throws: {
                guard case EmbeddedPostgresError.folderUnusable = $0 else { return false }
                return true
            }
        }
    }

    @Test func aFolderOfSomebodyElse() async throws {
        try await Scratch.with { scratch in
            let folder = scratch.root + "/precious"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
            try PrivateFile.write("a photograph\n", to: folder + "/photograph")
            await #expect(throws: EmbeddedPostgresError.folderNotOurs(folder: try realPath(folder))) {
                _ = try await scratch.start { $0.dataDirectory = folder }
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["photograph"])
        }
    }

    @Test(
        .enabled(if: FileManager.default.fileExists(atPath: oldFolder), "there is no PostgreSQL 15 in its usual place")
    )
    func aPostgresThatIsTooOld() async throws {
        try await Scratch.with { scratch in
            await #expect {
                _ = try await scratch.start { $0.environment["MILLRACE_PG_BIN"] = oldFolder }
            } throws: {
                guard case EmbeddedPostgresError.unusableInstallation(oldFolder, let reason) = $0 else { return false }
                return reason.contains("15.") && reason.contains("older than 18")
            }
        }
    }

    @Test func aFolderWithoutPostgres() async throws {
        try await Scratch.with { scratch in
            await #expect(
                throws: EmbeddedPostgresError.unusableInstallation(
                    folder: scratch.root,
                    reason: "there is no program postgres in it"
                )
            ) {
                _ = try await scratch.start { $0.environment["MILLRACE_PG_BIN"] = scratch.root }
            }
        }
    }

    @Test func aMachineWithoutPostgresAndPython() async throws {
        try await Scratch.with { scratch in
            let environment = ["PATH": scratch.root, "MILLRACE_CACHE": scratch.root + "/cache"]
            await #expect {
                _ = try await PostgresInstallation.find(
                    major: nil,
                    account: scratch.account(),
                    environment: environment,
                    logger: scratch.logger
                )
            } throws: {
                guard case EmbeddedPostgresError.notInstalled(let reason) = $0 else { return false }
                return reason.contains("python3")
            }
        }
    }

    @Test func dataOfAnotherMajorVersion() async throws {
        try await Scratch.with { scratch in
            let first = try await scratch.start()
            try await first.stop()
            try PrivateFile.write("17\n", to: scratch.cluster + "/PG_VERSION", owner: scratch.account())
            let installed = try await scratch.installation().majorVersion
            await #expect(
                throws: EmbeddedPostgresError.otherMajorVersion(
                    folder: first.dataDirectory,
                    data: 17,
                    installed: installed
                )
            ) {
                _ = try await scratch.start()
            }
        }
    }

    @Test func aPasswordThatWasLost() async throws {
        try await Scratch.with { scratch in
            let first = try await scratch.start()
            try await first.stop()
            try FileManager.default.removeItem(atPath: first.passfile)
            await #expect(throws: EmbeddedPostgresError.passwordLost(file: first.passfile)) {
                _ = try await scratch.start()
            }
        }
    }

    @Test func aSettingThatPostgresRefuses() async throws {
        try await Scratch.with { scratch in
            await #expect {
                _ = try await scratch.start { $0.settings["shared_buffers"] = "plenty" }
            } throws: {
                guard case EmbeddedPostgresError.failed(step: "start", _, _) = $0 else { return false }
                return true
            }
            // The data was made all the same, and is good.
            try await scratch.start().stop()
        }
    }

    @Test func everyRefusalIsOneSentenceThatSaysWhatToDo() {
        let refusals: [EmbeddedPostgresError] = [
            .notInstalled(reason: "r"), .unusableInstallation(folder: "/f", reason: "r"), .noAccount("r"),
            .folderUnusable(folder: "/f", reason: "r"), .folderNotOurs(folder: "/f"),
            .otherMajorVersion(folder: "/f", data: 17, installed: 18),
            .alreadyRunning(folder: "/f", processID: 1, url: "u"), .foreignServer(folder: "/f", processID: 1),
            .busy(folder: "/f", waited: .seconds(1)), .portTaken(1), .diskFull(folder: "/f"), .passwordLost(file: "/f"),
            .failed(step: "s", reason: "r", log: "l"), .timedOut(step: "s", after: .seconds(1), log: "l"),
        ]
        for refusal in refusals {
            let text = "\(refusal)"
            #expect(text.hasSuffix("."))
            #expect(text.contains(":"), "what to do follows the colon: \(text)")
            #expect(!text.contains("\n"))
        }
    }

    private func realPath(_ path: String) throws -> String {
        let real = try #require(realpath(path, nil))
        defer { free(real) }
        return String(cString: real)
    }
}

private let oldFolder = "/usr/lib/postgresql/15/bin"
