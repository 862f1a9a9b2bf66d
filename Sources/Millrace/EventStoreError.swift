public import MillracePostgres

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// Why the store refused, or could not say. The closed set to switch over.
public enum EventStoreError: Error, Sendable {
    /// Streams were not where the append required them to be: all of them, and nothing was stored.
    case versionConflict([VersionConflict])
    /// Some of the request's ids are stored already and some are not, so it is not a retry: nothing was stored.
    case partlyRepeated
    /// The event, name or request itself is refused; nothing was stored. `message` names the field.
    case invalidEvent(_ message: String, hint: String?)
    /// The connection was lost while the append was being committed, and sending it again did not settle it within
    /// ``AppenderLimits/resendTime``; or the call was cancelled, or took longer than the client allows, while it was on its
    /// way. It is stored, or it is not. Appending the same events with the same ids again is safe and settles it.
    case outcomeUnknown(eventIDs: [UUID])
    /// The log cannot be read in order under this transaction's isolation level or on this server.
    case cannotReadLog(_ message: String, hint: String?)
    /// The checkpoint was taken from another life of this store: before a restore, or before a promotion.
    case unknownEpoch(expected: UUID, actual: UUID)
    /// There is no handler of this name, it is registered with other events or lanes, or what it has under way does not allow it.
    case handlerRefused(_ message: String, hint: String?)
    /// There is no projection or generation of this name or number, it is registered otherwise, or what is asked for cannot be done with it;
    /// or an append left an inline projection out, and nothing was stored.
    case projectionRefused(_ message: String, hint: String?)
    /// The ledger's rules do not allow it: there is none, or there is one already, a block does not follow the last one, a key is not the ledger's.
    case ledgerRefused(_ message: String, hint: String?)
    /// There is no schema `millrace` in this database, or an older one.
    case notMigrated(_ message: String)
    /// Everything else PostgreSQL or the connection to it had to say.
    case postgres(PostgresError)
}

extension EventStoreError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .versionConflict(let conflicts):
            "not appended: " + conflicts.map(\.description).joined(separator: "; ")
        case .partlyRepeated:
            "not appended: some of the event ids are stored already and some are not; retry a request whole, or give new ids"
        case .invalidEvent(let message, let hint), .cannotReadLog(let message, let hint),
            .handlerRefused(let message, let hint), .projectionRefused(let message, let hint),
            .ledgerRefused(let message, let hint):
            hint.map { "\(message). \($0)" } ?? message
        case .outcomeUnknown(let ids):
            "it is unknown whether \(ids.count) event(s) were stored, because the answer was lost or not waited for: append them again with the same ids to settle it"
        case .unknownEpoch(let expected, let actual):
            "the checkpoint belongs to epoch \(expected), the store is in epoch \(actual): it was restored or promoted since; start again from a position you have verified"
        case .notMigrated(let message):
            "the schema is missing or old (\(message)): run `millrace migrate`"
        case .postgres(let error):
            String(describing: error)
        }
    }
}

extension EventStoreError {
    /// What a PostgreSQL error means to someone who uses an event store.
    init(_ error: PostgresError) {
        guard case .server(let server) = error else {
            self = .postgres(error)
            return
        }
        switch server.sqlState {
        case .millraceName, .millraceEventTooLarge, .millraceBatchTooLarge, .millraceArrayLengths, .millraceArgument,
            .millraceImportRefused,
            .invalidTextRepresentation, .untranslatableCharacter, .numericValueOutOfRange, .statementTooComplex,
            .characterNotInRepertoire, .invalidDatetimeFormat, .datetimeFieldOverflow, .invalidParameterValue,
            .programLimitExceeded:
            self = .invalidEvent(server.message, hint: server.hint)
        case .millraceIDTaken:
            self = .partlyRepeated
        case .millraceIsolation, .millraceStandby, .millraceSequenceUnseen:
            self = .cannotReadLog(server.message, hint: server.hint)
        case .millraceHandler, .millraceReplayOpen:
            self = .handlerRefused(server.message, hint: server.hint)
        case .millraceProjection, .millraceLeftOut:
            self = .projectionRefused(server.message, hint: server.hint)
        case .millraceLedger:
            self = .ledgerRefused(server.message, hint: server.hint)
        case .undefinedTable, .undefinedFunction, .invalidSchemaName:
            self = .notMigrated(server.message)
        default:
            self = .postgres(error)
        }
    }

    /// Runs a statement and speaks of its failure in the store's words.
    static func translating<Value>(
        isolation: isolated (any Actor)? = #isolation,
        _ body: () async throws -> Value
    ) async throws -> Value {
        do {
            return try await body()
        } catch let error as PostgresError {
            throw EventStoreError(error)
        }
    }
}
