import Foundation
import Logging
import Subprocess

@testable import MillraceEmbedded

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A folder of a test's own, with a server of its own.
struct Scratch: Sendable {
    let root: String
    let logger = Logger(label: "test")
    var folder: String { root + "/data" }

    /// - Parameter isReachable: whether an unprivileged account can pass through the folder above.
    static func with(
        isReachable: Bool = true,
        _ body: (Scratch) async throws -> Void
    ) async throws {
        let template = FileManager.default.temporaryDirectory.path + "/millrace-test-XXXXXX"
        var bytes = Array(template.utf8CString)
        guard mkdtemp(&bytes) != nil else { throw ScratchError.noFolder }
        let scratch = Scratch(root: String(decoding: bytes.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self))
        chmod(scratch.root, isReachable ? 0o755 : 0o700)
        do {
            try await body(scratch)
        } catch {
            await scratch.remove()
            throw error
        }
        await scratch.remove()
    }

    enum ScratchError: Error {
        case noFolder
        case sql(String)
    }

    /// A server that starts quickly and may lose its data with the machine.
    func configuration(_ change: (inout EmbeddedConfiguration) -> Void = { _ in }) -> EmbeddedConfiguration {
        var configuration = EmbeddedConfiguration(dataDirectory: folder, startTimeout: .seconds(60))
        configuration.settings["fsync"] = "off"
        change(&configuration)
        return configuration
    }

    func start(_ change: (inout EmbeddedConfiguration) -> Void = { _ in }) async throws -> EmbeddedPostgres {
        try await EmbeddedPostgres.start(configuration(change), logger: logger)
    }

    func use() async throws -> EmbeddedPostgres {
        try await EmbeddedPostgres.use(configuration(), logger: logger)
    }

    /// Where the data really lies.
    var cluster: String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: folder + "/postgres")) ?? folder + "/postgres"
    }

    func isServerAlive() throws -> Bool {
        try DataFolder(folder).isServerAlive()
    }

    /// What psql prints for the statement, through this connection string or URL.
    func sql(_ statement: String, _ connection: String) async throws -> String {
        let outcome = try await installation().program("psql").run(
            ["-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-d", connection, "-c", statement],
            environment: Program.environment(from: ProcessInfo.processInfo.environment)
        )
        guard outcome.succeeded else { throw ScratchError.sql(outcome.errors) }
        return outcome.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    func account() throws -> ServerAccount {
        try ServerAccount.choose(ownerOfData: nil, environment: ProcessInfo.processInfo.environment)
    }

    func installation() async throws -> PostgresInstallation {
        try await PostgresInstallation.find(
            major: nil,
            account: account(),
            environment: ProcessInfo.processInfo.environment,
            logger: logger
        )
    }

    private func remove() async {
        // Whatever a failed test left running.
        if FileManager.default.fileExists(atPath: folder + "/pgpass"), (try? isServerAlive()) == true,
            let left = try? await use()
        {
            try? await left.stop(.immediate)
        }
        let place = cluster
        try? FileManager.default.removeItem(atPath: root)
        if !place.hasPrefix(root) {
            try? FileManager.default.removeItem(atPath: place)
            try? FileManager.default.removeItem(atPath: place + ".origin")
        }
    }
}
