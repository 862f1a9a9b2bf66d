import MillracePostgres

/// Those of the codes Millrace's own functions raise that it tells apart itself; docs/sql-errors.md says what each means and what to do.
extension PostgresSQLState {
    static let millraceName: Self = "MR001"
    static let millraceEventTooLarge: Self = "MR002"
    static let millraceBatchTooLarge: Self = "MR003"
    static let millraceArrayLengths: Self = "MR004"
    static let millraceIsolation: Self = "MR005"
    static let millraceStandby: Self = "MR006"
    static let millraceIDTaken: Self = "MR008"
    static let millraceSequenceUnseen: Self = "MR009"
    static let millraceArgument: Self = "MR011"
    static let millraceImportRefused: Self = "MR013"
    static let millraceChunkUnfinished: Self = "MR014"
    static let millraceHandler: Self = "MR015"
    static let millraceLeaseLost: Self = "MR016"
    static let millraceTooManyParked: Self = "MR017"
    static let millraceReplayOpen: Self = "MR020"
    static let millraceReplayCancelled: Self = "MR021"
    static let millraceProjection: Self = "MR026"
    static let millraceLeftOut: Self = "MR027"
    static let millraceLedger: Self = "MR028"
}

/// PostgreSQL's own codes for what CREATE OR REPLACE cannot do, and DROP without CASCADE.
extension PostgresSQLState {
    static let invalidFunctionDefinition: Self = "42P13"
    static let invalidTableDefinition: Self = "42P16"
    static let ambiguousFunction: Self = "42725"
    static let wrongObjectType: Self = "42809"
    static let dependentObjectsStillExist: Self = "2BP01"
}

/// PostgreSQL's own codes for a value that its type cannot hold.
extension PostgresSQLState {
    static let invalidSchemaName: Self = "3F000"
    static let characterNotInRepertoire: Self = "22021"
    static let invalidDatetimeFormat: Self = "22007"
    static let datetimeFieldOverflow: Self = "22008"
    static let statementTooComplex: Self = "54001"
}
