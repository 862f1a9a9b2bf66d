import Foundation
import Logging

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// The folder that a user names, and what lies where in it.
///
///     format          which layout this is: it marks the folder as Millrace's
///     pgpass          the generated password, mode 0600, in the form that libpq's `passfile` reads
///     port            the port that was chosen, to choose it again
///     postgres/       the server's data; a symbolic link where root's folder is out of the server account's reach
///     start.log       what the server said before its own log was open
///     starting.lock   held while somebody starts, stops, joins or leaves
///     keeper.lock     held by the one who keeps the server running in the foreground
///     users.lock      held, shared, by everyone who uses the server for one command
///     server.lock     held by every process of the server itself, through its standard input
struct DataFolder: Sendable {
    /// Absolute, without symbolic links.
    let path: String

    var startingLock: String { path + "/starting.lock" }
    var keeperLock: String { path + "/keeper.lock" }
    var usersLock: String { path + "/users.lock" }
    var serverLock: String { path + "/server.lock" }
    var passfile: String { path + "/pgpass" }
    var portFile: String { path + "/port" }
    var startLog: String { path + "/start.log" }
    var cluster: String { path + "/postgres" }
    private var formatFile: String { path + "/format" }

    private static let format = "1\n"
    /// Where the data of folders goes that the server's account cannot reach.
    static let remote = "/var/lib/millrace"

    /// The folder, made where it is missing and checked where it is not.
    init(_ named: String) throws(EmbeddedPostgresError) {
        let files = FileManager.default
        guard !named.isEmpty else { throw .folderUnusable(folder: named, reason: "it has no name") }
        guard named.hasPrefix("/") || !files.currentDirectoryPath.isEmpty else {
            throw .folderUnusable(folder: named, reason: "the current folder is gone")
        }
        let absolute = named.hasPrefix("/") ? named : files.currentDirectoryPath + "/" + named
        let isNew = !files.fileExists(atPath: absolute)
        if isNew {
            do {
                try files.createDirectory(atPath: absolute, withIntermediateDirectories: true)
            } catch {
                throw .folderUnusable(folder: named, reason: "it cannot be made: \(Self.reason(error))")
            }
        }
        guard let real = realpath(absolute, nil) else {
            throw .folderUnusable(folder: named, reason: lastSystemError())
        }
        path = String(cString: real)
        free(real)
        guard access(path, R_OK | W_OK | X_OK) == 0 else {
            throw .folderUnusable(folder: path, reason: lastSystemError())
        }
        // Root's server runs under another account, which has to pass through but not to look.
        if isNew { chmod(path, isRoot ? 0o711 : 0o700) }
        try checkContents()
    }

    private func checkContents() throws(EmbeddedPostgresError) {
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
            throw .folderUnusable(folder: path, reason: "it cannot be listed")
        }
        guard !names.contains("format") else { return }
        // A second starter may be between its first lock and this marker.
        guard names.allSatisfy({ $0.hasSuffix(".lock") || $0.hasPrefix("format") }) else {
            throw .folderNotOurs(folder: path)
        }
        try PrivateFile.write(Self.format, to: formatFile)
    }

    private static func reason(_ error: any Error) -> String {
        let code = ((error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError)?.code
        return code.map { String(cString: strerror(Int32($0))) } ?? (error as NSError).localizedDescription
    }

    /// The one who may start, stop, join or leave now; waits for its turn.
    func lockForStarting(within limit: Duration) async throws -> FileLock {
        guard let lock = try await FileLock.wait(.exclusive, on: startingLock, within: limit) else {
            throw EmbeddedPostgresError.busy(folder: path, waited: limit)
        }
        return lock
    }

    /// Whether any process of a server of ours lives. Zombies and recycled process ids cannot deceive it: a dead
    /// process holds no lock.
    func isServerAlive() throws -> Bool {
        try FileLock.take(.shared, on: serverLock) == nil
    }

    /// Where the cluster really lies, whether it is there yet or not.
    func clusterDestination() -> String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: cluster)) ?? cluster
    }

    /// Moves the place of a cluster that is still to be made out to ``remote`` where the server's account cannot pass
    /// into this folder, and leaves a symbolic link.
    ///
    /// The link is the only thing that leads there, and its name is random: a folder that was removed and made anew
    /// starts with new data, and never meets the old one's.
    func settleCluster(for account: ServerAccount, logger: Logger) async throws {
        guard account.isSwitched, clusterDestination() == cluster else { return }
        if try await isReachable(by: account) { return }
        guard !FileManager.default.fileExists(atPath: cluster) else {
            throw EmbeddedPostgresError.folderUnusable(
                folder: path,
                reason: "the account \(account.name), whose data it holds, can no longer reach it"
            )
        }
        let name = URL(fileURLWithPath: path).deletingLastPathComponent().lastPathComponent
        let plain = String(name.filter { $0.isASCII && ($0.isLetter || $0.isNumber) }.prefix(32))
        let target = "\(Self.remote)/\(plain.isEmpty ? "data" : plain)-\(PrivateFile.randomName())"
        do {
            try FileManager.default.createDirectory(
                atPath: Self.remote,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o755]
            )
            await reportAbandoned(logger: logger)
            try FileManager.default.createSymbolicLink(atPath: cluster, withDestinationPath: target)
            // Where it came from, for whoever finds it when the folder is gone.
            try PrivateFile.write(cluster, to: target + Self.originSuffix)
        } catch let error as EmbeddedPostgresError {
            throw error
        } catch {
            throw EmbeddedPostgresError.folderUnusable(folder: Self.remote, reason: Self.reason(error))
        }
        logger.notice("The account \(account.name) cannot reach \(path): the data is kept in \(target).")
    }

    private static let originSuffix = ".origin"

    /// Data whose folder was removed is never deleted by us, and never used again: its owner is told where it is. A
    /// server that still runs on it can be reached by nobody, so it is stopped.
    private func reportAbandoned(logger: Logger) async {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: Self.remote)) ?? []
        for name in names where name.hasSuffix(Self.originSuffix) {
            let place = Self.remote + "/" + name.dropLast(Self.originSuffix.count)
            guard let origin = try? String(contentsOfFile: Self.remote + "/" + name, encoding: .utf8),
                (try? FileManager.default.destinationOfSymbolicLink(atPath: origin)) != place
            else { continue }
            guard FileManager.default.fileExists(atPath: place) else {
                unlink(Self.remote + "/" + name)
                continue
            }
            if let processID = PostmasterFile.processID(cluster: place),
                let living = try? await ProcessTable.serverProcesses(cluster: place), living.contains(processID)
            {
                kill(processID, SIGINT)
            }
            logger.notice(
                "The data in \(place) belonged to \(origin), which is gone: remove it where it is not needed."
            )
        }
    }

    /// Asks the kernel, under that account: permissions, access lists and all.
    private func isReachable(by account: ServerAccount) async throws -> Bool {
        try await Program(path: "/bin/sh").run(["-c", "cd -- \"$0\"", path], as: account, environment: [:]).succeeded
    }

    /// Whether the disk under the cluster is as good as full: less than one segment of the write-ahead log is left.
    func isDiskFull() -> Bool {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return false }
        let place = clusterDestination()
        var other = statvfs()
        let there = statvfs(place, &other) == 0 ? other : status
        return UInt64(there.f_bavail) * UInt64(there.f_frsize) < 16 << 20
    }
}
