/// A place where the events and the leaves differ. What it means is told when all of them are known: an event that is missing here may be elsewhere.
struct LedgerSuspect: Sendable, Hashable, Codable {
    enum Kind: String, Sendable, Hashable, Codable {
        /// The event here is not the one that was sealed.
        case differs
        /// A leaf without an event.
        case missing
        /// An event without a leaf.
        case unsealed
    }

    let kind: Kind
    let position: Int64
    /// The digests of the columns as they were sealed; of an event without a leaf none.
    var sealed: [UInt8] = []
    /// As they are; of a leaf without an event none.
    var found: [UInt8] = []
    var event: LedgerEventPlace?
    /// A column that has no value that it can have.
    var impossibleColumn: String?
}

/// All differences of a run, and what they mean together.
struct LedgerSuspects: Sendable, Hashable, Codable {
    /// So many are compared with each other; those beyond are reported each by itself.
    static let limit = 100_000

    private(set) var all: [LedgerSuspect] = []

    /// False where there is no room.
    mutating func add(_ suspect: LedgerSuspect) -> Bool {
        guard all.count < LedgerSuspects.limit else { return false }
        all.append(suspect)
        return true
    }

    /// An event that was moved from where it was sealed to an unused position.
    struct Move: Sendable, Hashable {
        let from: LedgerSuspect
        let to: LedgerSuspect
    }

    struct Verdict: Sendable {
        var findings: [LedgerFinding] = []
        /// Whether these passed another event is to be looked up.
        var moves: [Move] = []
    }

    func verdict() -> Verdict {
        var verdict = Verdict()
        var origins: [[UInt8]: [LedgerSuspect]] = [:]
        for suspect in all where suspect.kind != .unsealed { origins[suspect.sealed, default: []].append(suspect) }
        // Where the events that were sealed are found again.
        var found: Set<Int64> = []
        var explained: [LedgerSuspect] = []
        for suspect in all where suspect.kind != .missing && suspect.impossibleColumn == nil {
            let origin = origins[suspect.found]?.first {
                $0.position != suspect.position && !found.contains($0.position)
            }
            // An event whose own digests are those it was sealed with has changed in what they do not tell.
            guard let origin, suspect.sealed != suspect.found else { continue }
            found.insert(origin.position)
            explained.append(suspect)
            if suspect.kind == .unsealed, origin.kind == .missing {
                verdict.moves.append(Move(from: origin, to: suspect))
            } else {
                verdict.findings.append(LedgerSuspects.reordered(suspect, from: origin))
            }
        }
        let moved = Set(explained)
        for suspect in all {
            switch suspect.kind {
            case .missing where !found.contains(suspect.position):
                verdict.findings.append(LedgerSuspects.missing(suspect.position))
            case .differs where moved.contains(suspect):
                if !found.contains(suspect.position) {
                    verdict.findings.append(LedgerSuspects.missing(suspect.position))
                }
            case .differs: verdict.findings.append(LedgerSuspects.changed(suspect))
            case .unsealed where !moved.contains(suspect): verdict.findings.append(LedgerSuspects.inserted(suspect))
            case .missing, .unsealed: break
            }
        }
        verdict.findings.sort { ($0.position?.rawValue ?? 0) < ($1.position?.rawValue ?? 0) }
        return verdict
    }

    /// Of one for which there was no room.
    static func alone(_ suspect: LedgerSuspect) -> LedgerFinding {
        switch suspect.kind {
        case .differs: changed(suspect)
        case .missing: missing(suspect.position)
        case .unsealed: inserted(suspect)
        }
    }

    private static func missing(_ position: Int64) -> LedgerFinding {
        LedgerFinding(.missingEvent, at: position, "the event that was sealed at position \(position) is not there")
    }

    private static func inserted(_ suspect: LedgerSuspect) -> LedgerFinding {
        LedgerFinding(
            .insertedEvent,
            at: suspect.position,
            of: suspect.event,
            "the event at position \(suspect.position) was not sealed"
        )
    }

    static func reordered(_ suspect: LedgerSuspect, from origin: LedgerSuspect) -> LedgerFinding {
        LedgerFinding(
            .reorderedEvent,
            at: suspect.position,
            sealedAt: origin.position,
            of: suspect.event,
            "the event at position \(suspect.position) was sealed at position \(origin.position)"
        )
    }

    static func renumbered(_ move: Move) -> LedgerFinding {
        LedgerFinding(
            .changedEvent,
            at: move.to.position,
            sealedAt: move.from.position,
            of: move.to.event,
            parts: [LedgerColumn.id.rawValue],
            "the event at position \(move.to.position) was sealed at position \(move.from.position), and passed no other"
        )
    }

    private static func changed(_ suspect: LedgerSuspect) -> LedgerFinding {
        var columns = [String]()
        if let column = suspect.impossibleColumn {
            columns = [column]
        } else if suspect.found.count == suspect.sealed.count {
            columns = LedgerColumn.differing(suspect.sealed, suspect.found).map(\.rawValue)
        }
        let what = columns.isEmpty ? "in a column that cannot be told" : "in \(columns.joined(separator: ", "))"
        return LedgerFinding(
            .changedEvent,
            at: suspect.position,
            of: suspect.event,
            parts: columns,
            "the event at position \(suspect.position) was changed \(what)"
        )
    }
}
