public import Logging

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// A PostgreSQL 18 in a folder: installed where it is missing, initialised, started, and stopped in order.
///
///     let postgres = try await EmbeddedPostgres.start(EmbeddedConfiguration(), logger: logger)
///     print(postgres.url)
///     try await postgres.waitUntilExit()
///
/// A folder has one server at a time. It is kept either by one process in the foreground (``start(_:logger:)``), or by
/// all those that use it for one command (``use(_:logger:)``), the last of which stops it. A process that is killed
/// leaves the server running: the next one of the folder takes it over.
public actor EmbeddedPostgres {
    /// Which way the server is asked to stop.
    public enum StopMode: Sendable, Hashable {
        /// Wait until the last client has gone.
        case smart
        /// Roll back what is open, write everything down, go. The usual one.
        case fast
        /// Go at once; the next start recovers from the write-ahead log.
        case immediate

        fileprivate var signal: Int32 {
            switch self {
            case .smart: SIGTERM
            case .fast: SIGINT
            case .immediate: SIGQUIT
            }
        }
    }

    /// For libpq, over the server's private Unix socket. Carries no secret: libpq reads the password from its file.
    public nonisolated let connectionString: String
    /// For people and their tools, over TCP where there is a port. Carries no secret; libpq's tools find the password
    /// by themselves.
    public nonisolated let url: String
    /// The same with the password in it, for drivers that do not read password files. Do not log it.
    public nonisolated let urlWithPassword: String
    /// The server's main process.
    public nonisolated let processID: Int32
    /// The TCP port on 127.0.0.1, nil where there is none.
    public nonisolated let port: Int?
    /// The folder, absolute, without symbolic links.
    public nonisolated let dataDirectory: String
    /// The file that holds the password, in the form of libpq's `passfile`.
    public nonisolated var passfile: String { folder.passfile }

    private nonisolated let folder: DataFolder
    private nonisolated let configuration: EmbeddedConfiguration
    private nonisolated let logger: Logger
    /// Nil where another process started the server.
    private nonisolated let process: ServerProcess?
    private nonisolated let server: RunningServer
    private var keeper: FileLock?
    private var user: FileLock?

    private init(
        _ server: RunningServer,
        process: ServerProcess?,
        keeper: FileLock?,
        user: FileLock?,
        configuration: EmbeddedConfiguration,
        logger: Logger
    ) {
        connectionString = server.connectionString(database: server.databaseName)
        url = server.url(password: nil)
        urlWithPassword = server.url(password: server.password)
        processID = server.file.processID
        port = server.hasPort ? server.file.port : nil
        dataDirectory = server.folder.path
        folder = server.folder
        self.server = server
        self.configuration = configuration
        self.logger = logger
        self.process = process
        self.keeper = keeper
        self.user = user
    }

    /// Starts the server of a folder and keeps it until ``stop(_:)``.
    ///
    /// Where a killed process left the server running, it is restarted; where commands are using it, it is taken over as
    /// it is.
    ///
    /// - Throws: ``EmbeddedPostgresError``; ``EmbeddedPostgresError/alreadyRunning(folder:processID:url:)`` where
    ///   another process keeps it.
    public static func start(_ configuration: EmbeddedConfiguration, logger: Logger) async throws -> EmbeddedPostgres {
        let folder = try DataFolder(configuration.dataDirectory)
        let starting = try await folder.lockForStarting(within: configuration.startTimeout)
        defer { withExtendedLifetime(starting) {} }
        let keeper = try FileLock.take(.exclusive, on: folder.keeperLock)
        guard let keeper else {
            let server = try? await join(folder, configuration)
            throw EmbeddedPostgresError.alreadyRunning(
                folder: folder.path,
                processID: server?.file.processID ?? PostmasterFile.processID(cluster: folder.cluster) ?? 0,
                url: server?.url(password: nil) ?? "the address it printed"
            )
        }
        if try folder.isServerAlive() {
            let isUsed = try FileLock.take(.exclusive, on: folder.usersLock) == nil
            if isUsed, let server = try await join(folder, configuration) {
                try checkPort(of: server, configuration)
                logger.info("Taking over the server of \(folder.path) (process \(server.file.processID)).")
                return EmbeddedPostgres(
                    server,
                    process: nil,
                    keeper: keeper,
                    user: nil,
                    configuration: configuration,
                    logger: logger
                )
            }
            try await halt(folder, .fast, process: nil, configuration, logger)
        }
        let running = try await ServerStart(folder: folder, configuration: configuration, logger: logger).run()
        return EmbeddedPostgres(
            running.server,
            process: running.process,
            keeper: keeper,
            user: nil,
            configuration: configuration,
            logger: logger
        )
    }

    /// Joins the server that runs in a folder, or starts one on demand. Hand it back with ``release()``.
    ///
    /// - Throws: ``EmbeddedPostgresError``.
    public static func use(_ configuration: EmbeddedConfiguration, logger: Logger) async throws -> EmbeddedPostgres {
        let folder = try DataFolder(configuration.dataDirectory)
        let starting = try await folder.lockForStarting(within: configuration.startTimeout)
        defer { withExtendedLifetime(starting) {} }
        guard let user = try FileLock.take(.shared, on: folder.usersLock) else {
            throw EmbeddedPostgresError.busy(folder: folder.path, waited: .zero)
        }
        var server: RunningServer?
        var process: ServerProcess?
        if try folder.isServerAlive() { server = try await join(folder, configuration) }
        if server == nil {
            let running = try await ServerStart(folder: folder, configuration: configuration, logger: logger).run()
            server = running.server
            process = running.process
        }
        guard let server else { preconditionFailure("joined, started or thrown") }
        return EmbeddedPostgres(
            server,
            process: process,
            keeper: nil,
            user: user,
            configuration: configuration,
            logger: logger
        )
    }

    /// The same as ``connectionString``, for another database of the server.
    public nonisolated func connectionString(database: String) -> String {
        server.connectionString(database: database)
    }

    /// Stops the server that runs in a folder, whoever started or uses it; false where none runs.
    ///
    /// - Throws: ``EmbeddedPostgresError``.
    @discardableResult
    public static func stop(
        _ mode: StopMode = .fast,
        serverOf configuration: EmbeddedConfiguration,
        logger: Logger
    ) async throws -> Bool {
        let folder = try DataFolder(configuration.dataDirectory)
        let starting = try await folder.lockForStarting(within: configuration.startTimeout)
        defer { withExtendedLifetime(starting) {} }
        guard try folder.isServerAlive() else { return false }
        try await halt(folder, mode, process: nil, configuration, logger)
        return true
    }

    /// Runs a script in psql, which stops at the first error. For set-up that must not wait for a client library.
    ///
    /// - Throws: ``EmbeddedPostgresError/failed(step:reason:log:)`` with what psql said.
    package nonisolated func psql(_ script: String, database: String = "postgres") async throws {
        let account = try ServerAccount.choose(ownerOfData: nil, environment: configuration.environment)
        let installation = try await PostgresInstallation.find(
            major: Cluster.majorVersion(at: folder.clusterDestination()),
            account: account,
            environment: configuration.environment,
            logger: logger
        )
        try await server.psql(script, database: database, installation, environment: configuration.environment)
    }

    /// Stops the server, whoever uses it, and gives the folder back. Does nothing where it has stopped already.
    ///
    /// - Throws: ``EmbeddedPostgresError/timedOut(step:after:log:)`` where even an immediate shutdown did not end it.
    public func stop(_ mode: StopMode = .fast) async throws {
        guard keeper != nil || user != nil else { return }
        let starting = try await folder.lockForStarting(within: configuration.startTimeout)
        defer { withExtendedLifetime(starting) {} }
        // Another call may have been here while this one waited.
        guard keeper != nil || user != nil else { return }
        try await Self.halt(folder, mode, process: process, configuration, logger)
        keeper = nil
        user = nil
    }

    /// Hands back what ``use(_:logger:)`` gave: the last one out stops the server, unless somebody keeps it.
    /// A failure to stop is logged; it is never the command's own failure.
    ///
    /// Not cut short by a cancellation: a command that was interrupted puts its server away too.
    public func release() async {
        await Task { await releaseNow() }.value
    }

    private func releaseNow() async {
        guard user != nil else { return }
        do {
            let starting = try await folder.lockForStarting(within: configuration.startTimeout)
            defer { withExtendedLifetime(starting) {} }
            user = nil
            // Nobody can join while we hold the starting lock, so these two answers stay true.
            guard let alone = try FileLock.take(.exclusive, on: folder.usersLock),
                let kept = try FileLock.take(.exclusive, on: folder.keeperLock)
            else { return }
            defer { withExtendedLifetime((alone, kept)) {} }
            try await Self.halt(folder, .fast, process: process, configuration, logger)
        } catch {
            user = nil
            logger.warning("The server of \(folder.path) could not be stopped: \(error)")
        }
    }

    /// Returns when the server has ended after ``stop(_:)``; for a process that keeps it in the foreground.
    ///
    /// - Throws: ``EmbeddedPostgresError/failed(step:reason:log:)`` where it ended by itself or was killed;
    ///   `CancellationError`, which does not stop the server.
    public func waitUntilExit() async throws {
        // A child tells its end at once; a server that was taken over is asked for. Both are asked: waiting for the
        // child alone could not be cancelled.
        while true {
            if let process {
                if process.ending != nil { break }
            } else if try !folder.isServerAlive() {
                break
            }
            try await ContinuousClock().sleep(for: Self.exitPollInterval)
        }
        guard keeper != nil || user != nil else { return }
        // A stop that is under way gives the folder back in a moment.
        let starting = try await folder.lockForStarting(within: configuration.startTimeout)
        withExtendedLifetime(starting) {}
        guard keeper != nil || user != nil else { return }
        throw EmbeddedPostgresError.failed(
            step: "go on running",
            reason: process?.ending ?? "its main process is gone",
            log: folder.clusterDestination() + "/log"
        )
    }

    /// How soon an unexpected end is noticed.
    static let exitPollInterval = Duration.milliseconds(50)

    /// How to reach the server that runs in the folder, waiting until it is ready; nil where it dies meanwhile.
    private static func join(_ folder: DataFolder, _ configuration: EmbeddedConfiguration) async throws
        -> RunningServer?
    {
        let cluster = folder.clusterDestination()
        let found = try await poll(within: configuration.startTimeout) { () -> PostmasterFile?? in
            guard try folder.isServerAlive() else { return .some(nil) }
            guard let file = PostmasterFile(cluster: cluster), file.isReady else { return nil }
            // Backends of a killed server hold the lock for a moment, beside the file that it left.
            guard try await ProcessTable.serverProcesses(cluster: cluster).contains(file.processID) else { return nil }
            return .some(file)
        }
        guard let found else {
            throw EmbeddedPostgresError.timedOut(
                step: "get ready",
                after: configuration.startTimeout,
                log: cluster + "/log"
            )
        }
        guard let file = found else { return nil }
        let passfile = try Passfile(at: folder.passfile, isNew: false)
        return RunningServer(
            folder: folder,
            file: file,
            databaseName: configuration.databaseName,
            password: passfile.password
        )
    }

    /// A server that is taken over cannot change whom it listens to.
    private static func checkPort(of server: RunningServer, _ configuration: EmbeddedConfiguration) throws {
        let fits =
            switch configuration.listen {
            case .socketOnly: !server.hasPort
            case .loopback(nil): server.hasPort
            case .loopback(let port?): server.hasPort && server.file.port == port
            }
        guard fits else {
            throw EmbeddedPostgresError.alreadyRunning(
                folder: server.folder.path,
                processID: server.file.processID,
                url: server.url(password: nil)
            )
        }
    }

    /// Stops whatever server of ours runs in the folder and waits until its last process is gone.
    private static func halt(
        _ folder: DataFolder,
        _ mode: StopMode,
        process: ServerProcess?,
        _ configuration: EmbeddedConfiguration,
        _ logger: Logger
    ) async throws {
        let cluster = folder.clusterDestination()
        let socketFolder = PostmasterFile(cluster: cluster)?.socketFolder
        for signal in mode == .immediate ? [SIGQUIT] : [mode.signal, SIGQUIT] {
            // The number in the file is only believed where a server of this folder has it.
            if let processID = PostmasterFile.processID(cluster: cluster),
                try await ProcessTable.serverProcesses(cluster: cluster).contains(processID)
            {
                kill(processID, signal)
            }
            let gone = try await poll(within: configuration.stopTimeout) { try folder.isServerAlive() ? nil : true }
            if gone != nil {
                // Reaped before anyone is told that it is gone.
                _ = try? await process?.wait()
                if let socketFolder { SocketFolder.remove(socketFolder) }
                return
            }
            logger.warning("The server of \(folder.path) did not stop within \(configuration.stopTimeout).")
        }
        throw EmbeddedPostgresError.timedOut(step: "stop", after: configuration.stopTimeout, log: cluster + "/log")
    }
}
