import Foundation

/// Where an embedded PostgreSQL keeps its data, whom it listens to, and how long it may take.
public struct EmbeddedConfiguration: Sendable {
    /// Whom the server listens to, besides its private Unix socket.
    public enum Listen: Sendable, Hashable {
        /// 127.0.0.1 at this port; `nil` chooses a free one and keeps it across restarts while it stays free.
        case loopback(port: Int?)
        /// No TCP port at all.
        case socketOnly
    }

    /// The folder that holds everything of this server; made where it is missing. Relative paths start at the
    /// working directory.
    public var dataDirectory: String

    /// Whom the server listens to.
    public var listen: Listen

    /// The database that ``EmbeddedPostgres/connectionString`` names; a start
    /// of the server creates it where it is missing.
    public var databaseName: String

    /// Server settings that come after Millrace's own and before the folder's `user.conf`.
    ///
    /// `fsync=off` is for data that may be lost: initialising then skips its flush too.
    public var settings: [String: String]

    /// How long starting may take, the recovery after a crash and the wait for another starter included.
    public var startTimeout: Duration

    /// How long each stage of stopping may take: the mode asked for, then an immediate shutdown.
    public var stopTimeout: Duration

    /// The environment variables to go by (`MILLRACE_PG_BIN`, `MILLRACE_PG_ACCOUNT`, `MILLRACE_CACHE`, `PATH`, …);
    /// this process's own unless replaced.
    public var environment: [String: String]

    /// A server in `dataDirectory`, with the defaults a newcomer wants.
    public init(
        dataDirectory: String = ".millrace",
        listen: Listen = .loopback(port: nil),
        databaseName: String = "millrace",
        settings: [String: String] = [:],
        startTimeout: Duration = .seconds(60),
        stopTimeout: Duration = .seconds(30),
        environment: [String: String]? = nil
    ) {
        self.dataDirectory = dataDirectory
        self.listen = listen
        self.databaseName = databaseName
        self.settings = settings
        self.startTimeout = startTimeout
        self.stopTimeout = stopTimeout
        self.environment = environment ?? ProcessInfo.processInfo.environment
    }
}
