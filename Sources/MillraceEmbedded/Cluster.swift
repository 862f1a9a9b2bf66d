import Foundation
import Logging

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// The data of one server. It is made beside its place and renamed into it: either all of it is there, or nothing.
struct Cluster: Sendable {
    let path: String
    let account: ServerAccount

    /// The major version that made the data, nil where there is none.
    static func majorVersion(at path: String) -> Int? {
        guard let text = try? String(contentsOfFile: path + "/PG_VERSION", encoding: .utf8) else { return nil }
        return Int(text.trimmingCharacters(in: .whitespacesAndNewlines))
    }

    /// Makes it, with checksums, UTF-8 and an order of text that no library update can change.
    func initialise(
        with installation: PostgresInstallation,
        password: String,
        folder: DataFolder,
        settings: ServerSettings,
        environment: [String: String],
        holding lock: FileLock
    ) async throws {
        try removeLeftovers()
        let beside = "\(path).new-\(PrivateFile.randomName())"
        let passwordFile = beside + ".password"
        guard try PrivateFile.makeFolder(beside, owner: account) else {
            throw EmbeddedPostgresError.folderUnusable(folder: beside, reason: "it exists already")
        }
        try PrivateFile.write(password + "\n", to: passwordFile, owner: account)
        defer { unlink(passwordFile) }
        var arguments = [
            "--pgdata=\(beside)", "--username=\(Passfile.role)", "--pwfile=\(passwordFile)",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8", "--data-checksums", "--no-instructions",
            // What was written stays until we have asked whether the disk is full.
            "--no-clean",
        ]
        if settings.extra["fsync"] == "off" { arguments.append("--no-sync") }
        do {
            let outcome = try await installation.program("initdb").run(
                arguments,
                as: account,
                environment: Program.environment(from: environment),
                holding: lock
            )
            guard outcome.succeeded else {
                if folder.isDiskFull() { throw EmbeddedPostgresError.diskFull(folder: path) }
                throw EmbeddedPostgresError.failed(step: "initialise its data", reason: outcome.reason, log: path)
            }
            let main = beside + "/postgresql.conf"
            let written = try String(contentsOfFile: main, encoding: .utf8)
            try PrivateFile.write(written + ServerSettings.includes, to: main, owner: account)
            try PrivateFile.write(ServerSettings.userText, to: beside + "/" + ServerSettings.userFile, owner: account)
            guard rename(beside, path) == 0 else {
                throw EmbeddedPostgresError.folderUnusable(folder: path, reason: lastSystemError())
            }
        } catch {
            try? FileManager.default.removeItem(atPath: beside)
            throw error
        }
    }

    /// Half-made ones of starters that were killed. We hold the lock, so the initdb that was at it is gone too.
    private func removeLeftovers() throws {
        let place = URL(fileURLWithPath: path)
        let parent = place.deletingLastPathComponent().path
        let prefix = place.lastPathComponent + ".new-"
        for name in try FileManager.default.contentsOfDirectory(atPath: parent) where name.hasPrefix(prefix) {
            try FileManager.default.removeItem(atPath: parent + "/" + name)
        }
    }

    /// Writes what this version of Millrace wants.
    func write(_ settings: ServerSettings) throws {
        try PrivateFile.write(settings.text, to: path + "/" + ServerSettings.file, owner: account)
        try PrivateFile.write(ServerSettings.accessText, to: path + "/" + ServerSettings.accessFile, owner: account)
    }

    /// The last thing that the server complained about, for an error of ours.
    func lastComplaint(startLog: String) -> String? {
        let logs = path + "/log"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: logs)) ?? []
        let newest = names.map { logs + "/" + $0 }.max { Self.modified($0) < Self.modified($1) }
        for log in [newest, startLog] {
            guard let log, let data = FileManager.default.contents(atPath: log) else { continue }
            let lines = String(decoding: data.suffix(16_384), as: UTF8.self).split(separator: "\n")
            for line in lines.reversed() {
                for mark in ["FATAL:  ", "PANIC:  "] {
                    if let range = line.range(of: mark) { return String(line[range.upperBound...]) }
                }
            }
        }
        return nil
    }

    private static func modified(_ path: String) -> Date {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return attributes?[.modificationDate] as? Date ?? .distantPast
    }
}
