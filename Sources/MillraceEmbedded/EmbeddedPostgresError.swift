/// Why an embedded PostgreSQL is not there. Each case describes itself in one sentence that says what to do.
public enum EmbeddedPostgresError: Error, Sendable, Hashable, CustomStringConvertible {
    /// No PostgreSQL 18 or newer on this machine, and none could be fetched.
    case notInstalled(reason: String)
    /// The folder that `MILLRACE_PG_BIN` names holds no usable PostgreSQL 18 or newer.
    case unusableInstallation(folder: String, reason: String)
    /// Root starts the server, but there is no unprivileged account to run it under.
    case noAccount(String)
    /// The folder cannot be made, read or written.
    case folderUnusable(folder: String, reason: String)
    /// The folder holds something else than Millrace's data.
    case folderNotOurs(folder: String)
    /// The data was made by another major version of PostgreSQL than any that was found.
    case otherMajorVersion(folder: String, data: Int, installed: Int)
    /// Somebody else keeps a server running in this folder.
    case alreadyRunning(folder: String, processID: Int32, url: String)
    /// A server that runs in this folder was not started by Millrace.
    case foreignServer(folder: String, processID: Int32)
    /// Another process is still starting or stopping the server of this folder.
    case busy(folder: String, waited: Duration)
    /// The port that was asked for is taken.
    case portTaken(Int)
    /// The disk under the folder is full.
    case diskFull(folder: String)
    /// The file that holds the generated password is gone or damaged.
    case passwordLost(file: String)
    /// PostgreSQL refused to initialise, to start or to answer.
    case failed(step: String, reason: String, log: String)
    /// PostgreSQL did not get ready, or did not stop, in time.
    case timedOut(step: String, after: Duration, log: String)

    public var description: String {
        switch self {
        case .notInstalled(let reason):
            "No PostgreSQL 18 was found (\(reason)): run scripts/setup, or name one in MILLRACE_PG_BIN."
        case .unusableInstallation(let folder, let reason):
            "MILLRACE_PG_BIN=\(folder) cannot be used (\(reason)): name the folder of PostgreSQL 18's programs, or unset it."
        case .noAccount(let reason):
            "PostgreSQL does not run as root (\(reason)): name an unprivileged account in MILLRACE_PG_ACCOUNT."
        case .folderUnusable(let folder, let reason):
            "The data folder \(folder) cannot be used (\(reason)): make it yours, or choose another."
        case .folderNotOurs(let folder):
            "The folder \(folder) holds something else than Millrace's data: choose an empty or a new one."
        case .otherMajorVersion(let folder, let data, let installed):
            "The data in \(folder) was made by PostgreSQL \(data), and this is PostgreSQL \(installed): name the folder of "
                + "PostgreSQL \(data)'s programs in MILLRACE_PG_BIN, or upgrade the data with pg_upgrade."
        case .alreadyRunning(let folder, let processID, let url):
            "The server of \(folder) is already running (process \(processID)): use it at \(url), or stop it first."
        case .foreignServer(let folder, let processID):
            "A PostgreSQL that Millrace did not start (process \(processID)) runs in \(folder): stop it with pg_ctl first."
        case .busy(let folder, let waited):
            "Another process has been starting or stopping the server of \(folder) for \(waited): wait for it, or end it."
        case .portTaken(let port):
            "Port \(port) on 127.0.0.1 is taken: choose another, or let Millrace choose a free one."
        case .diskFull(let folder):
            "The disk under \(folder) is full: free some space and start again; nothing that was committed is lost."
        case .passwordLost(let file):
            "The generated password in \(file) is gone or damaged: restore the file, or start over with a new data folder."
        case .failed(let step, let reason, let log):
            "PostgreSQL could not \(step) (\(reason)): see \(log)."
        case .timedOut(let step, let after, let log):
            "PostgreSQL did not \(step) within \(after): see \(log), or allow it more time."
        }
    }
}
