/// A five-character SQLSTATE: what went wrong, in the server's own closed vocabulary.
public struct PostgresSQLState: Sendable, Hashable, RawRepresentable, ExpressibleByStringLiteral,
    CustomStringConvertible
{
    public let rawValue: String

    public init(rawValue: String) { self.rawValue = rawValue }
    public init(stringLiteral value: String) { self.rawValue = value }

    public var description: String { rawValue }

    /// The class: the first two characters.
    public var errorClass: String { String(rawValue.prefix(2)) }
}

extension PostgresSQLState {
    public static let successfulCompletion: Self = "00000"
    public static let transactionResolutionUnknown: Self = "08007"
    public static let featureNotSupported: Self = "0A000"
    public static let stringDataRightTruncation: Self = "22001"
    public static let numericValueOutOfRange: Self = "22003"
    public static let invalidParameterValue: Self = "22023"
    public static let invalidTextRepresentation: Self = "22P02"
    public static let untranslatableCharacter: Self = "22P05"
    public static let notNullViolation: Self = "23502"
    public static let foreignKeyViolation: Self = "23503"
    public static let uniqueViolation: Self = "23505"
    public static let checkViolation: Self = "23514"
    public static let exclusionViolation: Self = "23P01"
    public static let activeTransaction: Self = "25001"
    public static let readOnlyTransaction: Self = "25006"
    public static let inFailedTransaction: Self = "25P02"
    public static let invalidStatementName: Self = "26000"
    public static let invalidAuthorization: Self = "28000"
    public static let invalidPassword: Self = "28P01"
    public static let invalidDatabase: Self = "3D000"
    public static let invalidSavepoint: Self = "3B001"
    public static let serializationFailure: Self = "40001"
    public static let deadlockDetected: Self = "40P01"
    public static let syntaxError: Self = "42601"
    public static let insufficientPrivilege: Self = "42501"
    public static let undefinedColumn: Self = "42703"
    public static let undefinedObject: Self = "42704"
    public static let undefinedFunction: Self = "42883"
    public static let undefinedTable: Self = "42P01"
    public static let duplicateDatabase: Self = "42P04"
    public static let duplicateTable: Self = "42P07"
    public static let duplicateObject: Self = "42710"
    public static let diskFull: Self = "53100"
    public static let outOfMemory: Self = "53200"
    public static let tooManyConnections: Self = "53300"
    public static let programLimitExceeded: Self = "54000"
    public static let lockNotAvailable: Self = "55P03"
    public static let queryCanceled: Self = "57014"
    public static let adminShutdown: Self = "57P01"
    public static let crashShutdown: Self = "57P02"
    public static let cannotConnectNow: Self = "57P03"
    public static let raisedException: Self = "P0001"
}
