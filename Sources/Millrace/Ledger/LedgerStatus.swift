import MillracePostgres

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// How a ledger stands.
public struct LedgerStatus: Sendable {
    public let origin: String
    /// How long an event stays unsealed while a sealer runs.
    public let sealInterval: Duration
    /// The key that signs.
    public let verifierKey: String
    public let keys: Int
    /// The aggregate types whose streams are chained.
    public let ledgeredTypes: [String]
    /// 0: none is sealed yet.
    public let blocks: Int
    public let size: Int
    public let root: LedgerHash?
    public let lastPosition: Position
    public let sealedAt: Date?
    /// Events below the horizon, counted up to the limit that was asked for.
    public let unsealed: Int
    /// The age of the oldest of them.
    public let unsealedFor: Duration?

    init(_ row: PostgresRow) throws {
        origin = try row.decode(String.self, at: 0)
        sealInterval = .milliseconds(try row.decode(Int64.self, at: 1))
        verifierKey = try row.decode(String.self, at: 2)
        keys = try row.decode(Int.self, at: 3)
        ledgeredTypes = try row.decode([String].self, at: 4)
        blocks = try row.decode(Int.self, at: 5)
        size = try row.decode(Int.self, at: 6)
        root = try row.decode([UInt8]?.self, at: 7).flatMap { LedgerHash($0) }
        lastPosition = Position(try row.decode(Int64.self, at: 8))
        sealedAt = try row.decode(Date?.self, at: 9)
        unsealed = try row.decode(Int.self, at: 10)
        unsealedFor = try row.decode(Int64?.self, at: 11).map { .milliseconds($0) }
    }
}

/// How far a place outside has been told of the checkpoints.
public struct LedgerPublication: Sendable {
    public let target: String
    /// The last block that it knows; nil: none.
    public let block: Int?
    public let publishedAt: Date?
    public let failedAt: Date?
    /// What the last attempt failed with; nil: it did not.
    public let error: String?

    init(_ row: PostgresRow) throws {
        target = try row.decode(String.self, at: 0)
        block = try row.decode(Int?.self, at: 1)
        publishedAt = try row.decode(Date?.self, at: 2)
        failedAt = try row.decode(Date?.self, at: 3)
        error = try row.decode(String?.self, at: 4)
    }
}

/// A key of a ledger, as the database has it.
public struct LedgerKeyRecord: Sendable {
    /// 1, 2, 3 …; the last one signs.
    public let number: Int
    public let verifierKey: LedgerVerifierKey
    /// With which the key before it says that this one follows; nil for the first.
    public let endorsement: SignedNote?
    public let createdAt: Date

    init(_ row: PostgresRow) throws {
        number = try row.decode(Int.self, at: 0)
        verifierKey = try LedgerVerifierKey(try row.decode(String.self, at: 1))
        endorsement = try row.decode(String?.self, at: 2).map { try SignedNote($0) }
        createdAt = try row.decode(Date.self, at: 3)
    }
}
