import Millrace
import MillraceEmbedded
import MillracePostgres

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The exit codes a script can rely on. 64 is what the argument parser itself uses.
enum ExitStatus: Int32, CaseIterable {
    case done = 0
    case failed = 1
    case conflict = 3
    case outcomeUnknown = 4
    case unhealthy = 5
    case unproven = 6
    case usage = 64
    case badInput = 65
    case unreachable = 69
    case interrupted = 130

    var meaning: String {
        switch self {
        case .done: "done"
        case .failed: "failed"
        case .conflict: "a stream was not at the expected version"
        case .outcomeUnknown: "stored or not, repeat with the same ids"
        case .unhealthy: "doctor or check-events found something that must be mended"
        case .unproven: "a proof or a published checkpoint does not hold"
        case .usage: "wrong usage"
        case .badInput: "the input was refused"
        case .unreachable: "no PostgreSQL could be reached"
        case .interrupted: "interrupted"
        }
    }
}

extension ExitStatus {
    /// Ends the process at once, without the handlers of `exit`: OpenSSL's takes its locks away, and a connection that was given up
    /// while it was being opened may still be at its password on another thread.
    func endProcess() -> Never {
        fflush(nil)
        _exit(rawValue)
    }
}

/// Why a command ended without having done what it was asked to: one sentence, and a code for scripts.
struct Failure: Error, CustomStringConvertible {
    let status: ExitStatus
    let description: String

    init(_ status: ExitStatus, _ description: String) {
        self.status = status
        self.description = description
    }

    /// nil for an error that the argument parser reports better.
    init?(_ error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let error as EventStoreError: self.init(error)
        case let error as PostgresError: self.init(error)
        case let error as EmbeddedPostgresError: self.init(.unreachable, "\(error)")
        case let error as MigrationError: self.init(.failed, "\(error)")
        case let error as ProjectionNotReady: self.init(.failed, "\(error)")
        case let error as LedgerError: self.init(.failed, "\(error)")
        case let error as WebhookRefusal: self.init(.failed, "\(error)")
        case let error as LedgerFileError: self.init(.failed, "\(error)")
        case let error as LedgerSealingError: self.init(.failed, "\(error)")
        case let error as LedgerKeyError: self.init(.badInput, "\(error)")
        case let error as LedgerNoteError: self.init(.badInput, "\(error)")
        case let error as LedgerProofError: self.init(.unproven, "\(error)")
        case is CancellationError: self.init(.interrupted, "interrupted")
        default: return nil
        }
    }

    private init(_ error: EventStoreError) {
        switch error {
        case .postgres(let error): self.init(error)
        case .versionConflict, .partlyRepeated: self.init(.conflict, "\(error)")
        case .invalidEvent: self.init(.badInput, "\(error)")
        case .outcomeUnknown: self.init(.outcomeUnknown, "\(error)")
        case .cannotReadLog, .unknownEpoch, .handlerRefused, .projectionRefused, .ledgerRefused, .notMigrated:
            self.init(.failed, "\(error)")
        }
    }

    private init(_ error: PostgresError) {
        switch error {
        case .cannotConnect where error.sqlState == .invalidPassword:
            self.init(.unreachable, "\(error); check the user and the password in the URL or in PGPASSWORD")
        case .cannotConnect where error.sqlState == .invalidDatabase:
            self.init(.unreachable, "\(error); create it with `createdb`, or name another one in the URL")
        case .cannotConnect, .acquireTimedOut:
            self.init(.unreachable, "\(error); check --database-url, DATABASE_URL or the PG* variables")
        case .outcomeUnknown: self.init(.outcomeUnknown, "\(error)")
        case .cancelled: self.init(.interrupted, "interrupted")
        case .server, .connectionLost, .timedOut, .poolExhausted, .clientClosed, .decoding, .misuse:
            self.init(.failed, "\(error)")
        }
    }

    /// Says it on standard error and ends the process.
    func report() -> Never {
        if status != .interrupted { Terminal.error.say("millrace: \(description)\n") }
        status.endProcess()
    }
}
