import MillracePostgres

/// Goes along the events of one aggregate type, stream by stream and version by version, and says where the chain does not hold.
struct LedgerChainWalk {
    /// What the event before must be.
    private struct Link {
        let aggregateID: String
        var version: Int
        /// Its hash as stored, and where that is another one, as computed; none where it is not chained.
        var hashes: [LedgerHash]
        var isChained: Bool
        var isBroken: Bool
    }

    /// A stream whose last event was passed.
    struct Ended {
        let aggregateID: String
        /// Whether its last event has a finding already.
        let isBroken: Bool
    }

    private var link: Link?
    private var buffer = LedgerEntryBuffer()
    private(set) var ended: [Ended] = []
    private(set) var chained = 0

    /// Looks at the next event.
    /// - Parameter hasPredecessor: whether the row says in its last two columns what the version before is.
    mutating func step(_ row: PostgresRow, hasPredecessor: Bool) throws -> LedgerFinding? {
        let aggregateID = try row.decode(String.self, at: 4)
        let version = Int(try row.decode(Int32.self, at: 5))
        if let last = link, !last.aggregateID.utf8.elementsEqual(aggregateID.utf8) { finishStream() }
        let before = try link ?? first(of: aggregateID, row, hasPredecessor)
        var parts: [String] = []
        if version != before.version + 1 { parts.append("version") }
        var next = Link(
            aggregateID: aggregateID,
            version: max(version, before.version),
            hashes: [],
            isChained: before.isChained,
            isBroken: false
        )
        do throws(LedgerEntryError) {
            try buffer.encode(row)
            parts += check(after: before, &next)
        } catch { parts.append("current_hash") }
        next.isBroken = !parts.isEmpty
        link = next
        guard !parts.isEmpty else { return nil }
        let position = try row.decode(Int64.self, at: 0)
        return LedgerFinding(
            .brokenChain,
            at: position,
            of: LedgerEventPlace(row),
            parts: parts,
            "the event at position \(position) does not follow in its stream: \(parts.joined(separator: ", "))"
        )
    }

    private func first(of aggregateID: String, _ row: PostgresRow, _ hasPredecessor: Bool) throws -> Link {
        guard hasPredecessor, !row.isNull(at: 14) else {
            return Link(aggregateID: aggregateID, version: 0, hashes: [.zero], isChained: false, isBroken: false)
        }
        let hash = try row.decode([UInt8]?.self, at: 15).flatMap { LedgerHash($0) }
        return Link(
            aggregateID: aggregateID,
            version: Int(try row.decode(Int32.self, at: 14)),
            hashes: [hash ?? .zero],
            isChained: hash != nil,
            isBroken: false
        )
    }

    private mutating func check(after before: Link, _ next: inout Link) -> [String] {
        if buffer.isNull(.currentHash), buffer.isNull(.previousHash) {
            guard before.isChained else {
                next.hashes = [.zero]
                return []
            }
            next.hashes = before.hashes
            return ["previous_hash", "current_hash"]
        }
        chained += 1
        next.isChained = true
        var parts: [String] = []
        let (previous, current) = (buffer.hash(in: .previousHash), buffer.hash(in: .currentHash))
        if !(previous.map { before.hashes.contains($0) } ?? false) { parts.append("previous_hash") }
        let computed = buffer.chainHash(after: previous ?? .zero)
        if previous == nil || current != computed { parts.append("current_hash") }
        next.hashes = current == computed ? [computed] : [computed, current ?? .zero]
        // Where only previous_hash is another one, the hash was made with the right one.
        if !parts.isEmpty, let right = before.hashes.first(where: { buffer.chainHash(after: $0) == current }),
            right != previous
        {
            return ["previous_hash"]
        }
        return parts
    }

    /// The stream ends here, as far as is known.
    mutating func finishStream() {
        if let link { ended.append(Ended(aggregateID: link.aggregateID, isBroken: link.isBroken)) }
        link = nil
    }

    mutating func takeEnded() -> [Ended] {
        defer { ended = [] }
        return ended
    }
}
