import Foundation
import Logging

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// One start of the server of a folder, from finding PostgreSQL to the first answer. The caller holds the folder's
/// starting lock.
struct ServerStart: Sendable {
    let folder: DataFolder
    let configuration: EmbeddedConfiguration
    let logger: Logger

    /// A server that is up, and whose process it is.
    struct Running: Sendable {
        let server: RunningServer
        let process: ServerProcess
    }

    /// How often a port that was free a moment ago may turn out to be taken.
    static let portAttempts = 3
    /// How long the processes of a killed server may go on with what they are at before they are told to end.
    static let orphanPatience = Duration.seconds(3)
    /// How long a reason may take to appear in the log of a server that did not start.
    static let complaintPatience = Duration.milliseconds(500)

    func run() async throws -> Running {
        let destination = folder.clusterDestination()
        let data = Cluster.majorVersion(at: destination)
        let owner = data == nil ? nil : PrivateFile.owner(of: destination)
        let account = try ServerAccount.choose(ownerOfData: owner, environment: configuration.environment)
        let installation = try await PostgresInstallation.find(
            major: data,
            account: account,
            environment: configuration.environment,
            logger: logger
        )
        if let data, data != installation.majorVersion {
            throw EmbeddedPostgresError.otherMajorVersion(
                folder: folder.path,
                data: data,
                installed: installation.majorVersion
            )
        }
        try await folder.settleCluster(for: account, logger: logger)
        let cluster = Cluster(path: folder.clusterDestination(), account: account)
        let passfile = try Passfile(at: folder.passfile, isNew: data == nil)
        let settings = ServerSettings(extra: configuration.settings)
        let lock = try await lockServer(of: cluster)
        if data == nil {
            logger.info("Initialising PostgreSQL \(installation.version) in \(cluster.path).")
            try await cluster.initialise(
                with: installation,
                password: passfile.password,
                folder: folder,
                settings: settings,
                environment: configuration.environment,
                holding: lock
            )
        }
        try await removeStaleFile(of: cluster)
        do {
            try cluster.write(settings)
            return try await launch(cluster, installation, passfile, holding: lock)
        } catch let error as EmbeddedPostgresError {
            throw folder.isDiskFull() ? .diskFull(folder: folder.path) : error
        }
    }

    /// Waits until the last process of an earlier server is gone. Its postmaster was killed: its backends end by
    /// themselves when they notice, and those that are busy are told to.
    private func lockServer(of cluster: Cluster) async throws -> FileLock {
        if let lock = try await FileLock.wait(.exclusive, on: folder.serverLock, within: Self.orphanPatience) {
            return lock
        }
        let orphans = try await ProcessTable.serverProcesses(cluster: cluster.path)
        logger.warning("Ending processes that a killed server left behind: \(orphans).")
        for orphan in orphans { kill(orphan, SIGQUIT) }
        let lock = try await FileLock.wait(.exclusive, on: folder.serverLock, within: configuration.stopTimeout)
        guard let lock else {
            throw EmbeddedPostgresError.foreignServer(folder: folder.path, processID: orphans.first ?? 0)
        }
        return lock
    }

    /// PostgreSQL refuses to start beside a `postmaster.pid` whose process id answers, be it a zombie's or somebody
    /// else's. No process of a server of ours lives (the lock is ours), so only one that was started by hand could.
    private func removeStaleFile(of cluster: Cluster) async throws {
        guard let processID = PostmasterFile.processID(cluster: cluster.path), kill(processID, 0) == 0 || errno == EPERM
        else { return }
        // Children of a server that was started by hand and killed hold its shared memory for a moment.
        let foreign = try await poll(within: Self.orphanPatience) { () -> Bool? in
            try await ProcessTable.serverProcesses(cluster: cluster.path).isEmpty ? true : nil
        }
        guard foreign != nil else {
            throw EmbeddedPostgresError.foreignServer(folder: folder.path, processID: processID)
        }
        logger.info("Removing the postmaster.pid of a server that was killed (process \(processID)).")
        unlink(PostmasterFile.path(in: cluster.path))
    }

    private func launch(
        _ cluster: Cluster,
        _ installation: PostgresInstallation,
        _ passfile: Passfile,
        holding lock: FileLock
    ) async throws -> Running {
        let socketFolder = try SocketFolder.make(for: folder, account: cluster.account)
        for attempt in 1... {
            let port = try choosePort()
            let process = try await ServerProcess.spawn(
                installation.program("postgres"),
                arguments: arguments(cluster: cluster, socketFolder: socketFolder, port: port),
                account: cluster.account,
                environment: Program.environment(from: configuration.environment),
                holding: lock,
                log: folder.startLog
            )
            do {
                let file = try await waitUntilReady(process, cluster: cluster)
                let server = RunningServer(
                    folder: folder,
                    file: file,
                    databaseName: configuration.databaseName,
                    password: passfile.password
                )
                try await createDatabase(on: server, installation)
                if let port { try PrivateFile.write("\(port)\n", to: folder.portFile) }
                return Running(server: server, process: process)
            } catch {
                if process.ending == nil {
                    kill(process.processID, SIGQUIT)
                    _ = try? await process.wait()
                }
                let lostRace = configuration.listen == .loopback(port: nil) && port.map(LoopbackPort.isFree) == false
                guard lostRace, attempt < Self.portAttempts else { throw error }
            }
        }
        preconditionFailure("the last attempt returns or throws")
    }

    /// Nil where there is to be none.
    private func choosePort() throws -> Int? {
        switch configuration.listen {
        case .socketOnly:
            return nil
        case .loopback(let port?):
            guard LoopbackPort.isFree(port) else { throw EmbeddedPostgresError.portTaken(port) }
            return port
        case .loopback(nil):
            let text = try? String(contentsOfFile: folder.portFile, encoding: .utf8)
            let kept = text.flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
            let preferred = [kept].compactMap { $0 } + LoopbackPort.candidates(for: folder.path)
            guard let port = LoopbackPort.choose(preferring: preferred) else {
                throw EmbeddedPostgresError.failed(
                    step: "listen",
                    reason: "127.0.0.1 has no free port",
                    log: folder.startLog
                )
            }
            return port
        }
    }

    /// What must be so for Millrace to find its server is said here, where no file can change it.
    private func arguments(cluster: Cluster, socketFolder: String, port: Int?) -> [String] {
        let fixed = [
            "listen_addresses=\(port == nil ? "" : "127.0.0.1")",
            "port=\(port ?? RunningServer.socketOnlyPort)",
            "unix_socket_directories=\(socketFolder)",
            "unix_socket_permissions=0700",
        ]
        return ["-D", cluster.path] + fixed.flatMap { ["-c", $0] }
    }

    private func waitUntilReady(_ process: ServerProcess, cluster: Cluster) async throws -> PostmasterFile {
        let file = try await poll(within: configuration.startTimeout) { () -> PostmasterFile? in
            if let ending = process.ending {
                // The collector may still be writing down what the server said last.
                let complaint = try await poll(within: Self.complaintPatience) {
                    cluster.lastComplaint(startLog: folder.startLog)
                }
                throw EmbeddedPostgresError.failed(
                    step: "start",
                    reason: complaint ?? ending,
                    log: "\(folder.startLog) and \(cluster.path)/log"
                )
            }
            guard let file = PostmasterFile(cluster: cluster.path), file.isReady, file.processID == process.processID
            else { return nil }
            return file
        }
        guard let file else {
            throw EmbeddedPostgresError.timedOut(
                step: "get ready",
                after: configuration.startTimeout,
                log: "\(cluster.path)/log"
            )
        }
        return file
    }

    /// Asks through psql, which also proves that the password opens the door. The name travels as a variable.
    private func createDatabase(on server: RunningServer, _ installation: PostgresInstallation) async throws {
        let script = """
            SELECT format('CREATE DATABASE %I', :'name')
            WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \\gexec

            """
        try await server.psql(
            script,
            database: "postgres",
            variables: ["name": configuration.databaseName],
            installation,
            environment: configuration.environment
        )
    }
}
