/// Something in a ledger that is not as it was sealed, chained or published.
public struct LedgerFinding: Sendable, Hashable, Codable {
    public enum Code: String, Sendable, Hashable, CaseIterable, Codable {
        /// A sealed event is another one than it was; ``LedgerFinding/parts`` has the columns, as far as they can be told.
        case changedEvent = "changed_event"
        /// A sealed event is not there.
        case missingEvent = "missing_event"
        /// An event is there, below the last sealed position, that was not sealed.
        case insertedEvent = "inserted_event"
        /// A sealed event is at the position of another one, ``LedgerFinding/sealedPosition`` was its own.
        case reorderedEvent = "reordered_event"
        /// The hashes or versions of a stream do not follow from each other.
        case brokenChain = "broken_chain"
        /// A block, or what is kept of its leaves, does not hold together.
        case brokenBlock = "broken_block"
        /// A block, a key or a published checkpoint is not signed by a trusted key.
        case badSignature = "bad_signature"
        /// A checkpoint that was published is no beginning of this ledger.
        case forkedCheckpoint = "forked_checkpoint"
    }

    public let code: Code
    private let rawPosition: Int64?
    private let rawSealedPosition: Int64?
    public let aggregateType: String?
    public let aggregateID: String?
    /// Of the event in its stream.
    public let version: Int?
    /// The number of the block.
    public let block: Int?
    /// Columns of an event, or parts of a chain or a block.
    public let parts: [String]
    /// For people.
    public let detail: String

    init(
        _ code: Code,
        at position: Int64? = nil,
        sealedAt sealedPosition: Int64? = nil,
        of event: LedgerEventPlace? = nil,
        block: Int? = nil,
        parts: [String] = [],
        _ detail: String
    ) {
        self.code = code
        rawPosition = position
        rawSealedPosition = sealedPosition
        aggregateType = event?.aggregateType
        aggregateID = event?.aggregateID
        version = event?.version
        self.block = block
        self.parts = parts
        self.detail = detail
    }

    /// Where the event is now, or where it was where it is missing.
    public var position: Position? { rawPosition.map { Position($0) } }
    /// Where the event was when it was sealed, where it is elsewhere now.
    public var sealedPosition: Position? { rawSealedPosition.map { Position($0) } }
}

extension LedgerFinding: CustomStringConvertible {
    public var description: String { "\(code.rawValue): \(detail)" }
}

/// Which event of which stream.
struct LedgerEventPlace: Sendable, Hashable, Codable {
    let aggregateType: String
    let aggregateID: String
    let version: Int
}

/// What was found, as many as the limit says; the others are counted.
public struct LedgerFindings: Sendable, Hashable, Codable {
    public let limit: Int
    public private(set) var kept: [LedgerFinding] = []
    public private(set) var counts: [String: Int] = [:]

    init(limit: Int) { self.limit = limit }

    public var count: Int { counts.values.reduce(0, +) }

    public func count(of code: LedgerFinding.Code) -> Int { counts[code.rawValue] ?? 0 }

    mutating func add(_ finding: LedgerFinding) {
        counts[finding.code.rawValue, default: 0] += 1
        if kept.count < limit { kept.append(finding) }
    }
}

extension LedgerFinding {
    static func broken(_ block: Int, _ parts: [String]) -> LedgerFinding {
        LedgerFinding(
            .brokenBlock,
            block: block,
            parts: parts,
            "block \(block) is broken: \(parts.joined(separator: ", "))"
        )
    }
}

extension LedgerFindings {
    /// For what is looked at again when a verification goes on.
    mutating func addOnce(_ finding: LedgerFinding) {
        if !kept.contains(finding) { add(finding) }
    }
}
