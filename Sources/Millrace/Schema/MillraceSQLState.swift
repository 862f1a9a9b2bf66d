import MillracePostgres

/// The codes Millrace's own functions raise; docs/sql-errors.md says what each means and what to do.
extension PostgresSQLState {
    static let millraceName: Self = "MR001"
    static let millraceEventTooLarge: Self = "MR002"
    static let millraceBatchTooLarge: Self = "MR003"
    static let millraceArrayLengths: Self = "MR004"
    static let millraceIsolation: Self = "MR005"
    static let millraceStandby: Self = "MR006"
    static let millraceImmutable: Self = "MR007"
    static let millraceIDTaken: Self = "MR008"
    static let millraceSequenceUnseen: Self = "MR009"
    static let millraceConflict: Self = "MR010"
    static let millraceArgument: Self = "MR011"
    static let millraceImportMoved: Self = "MR012"
    static let millraceImportRefused: Self = "MR013"
}

/// PostgreSQL's own codes for a value that its type cannot hold.
extension PostgresSQLState {
    static let invalidSchemaName: Self = "3F000"
    static let characterNotInRepertoire: Self = "22021"
    static let datetimeFieldOverflow: Self = "22008"
    static let statementTooComplex: Self = "54001"
}
