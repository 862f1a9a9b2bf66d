import MillracePostgres

/// Neighbouring blocks whose events are compared with their leaves by one worker.
struct LedgerUnit: Sendable {
    /// Beyond these a unit takes no further block.
    static let leafLimit = 16_384
    static let blockLimit = 1024

    private(set) var extents: [LedgerExtent] = []

    var leafCount: Int { (extents.last?.leaves.upperBound ?? 0) - (extents.first?.leaves.lowerBound ?? 0) }
    var isFull: Bool { leafCount >= LedgerUnit.leafLimit || extents.count >= LedgerUnit.blockLimit }

    mutating func add(_ extent: LedgerExtent) { extents.append(extent) }
}

/// What came of comparing a unit.
struct LedgerUnitReport: Sendable {
    let extents: [LedgerExtent]
    let firstLeaf: Int
    /// As stored; nil where none is.
    var hashes: [LedgerHash?]
    var positions: [Int64?] = []
    /// What is wrong with what is kept of the leaves of a block, by the block's place in the unit.
    var defects: [Int: Set<String>] = [:]
    var suspects: [LedgerSuspect] = []
    /// The aggregate types with hashes.
    var chainedTypes: Set<String> = []
    var events = 0
}

/// Compares one unit. At once it has the unit's leaves, ``LedgerUnit/leafLimit`` and a block at the most, and one page of events.
struct LedgerUnitComparison {
    private struct Leaf {
        let position: Int64
        let hash: LedgerHash
        let digests: ArraySlice<UInt8>
    }

    private var report: LedgerUnitReport
    private var leaves: [Leaf] = []
    private var next = 0
    private var buffer = LedgerEntryBuffer()

    static func run(_ unit: LedgerUnit, _ reader: LedgerVerificationReader) async throws -> LedgerUnitReport {
        try await reader.reading { transaction in
            var comparison = LedgerUnitComparison(unit)
            try await comparison.readLeaves(transaction)
            guard let first = unit.extents.first, let last = unit.extents.last else { return comparison.report }
            // Where the header is broken, it does not say how far the block reaches.
            let upper = last.isIntact ? last.upper : comparison.leaves.last?.position ?? last.upper
            try await LedgerVerificationReader.pages(after: first.lower, upTo: upper, in: transaction) {
                try comparison.compare($0)
            }
            comparison.finish()
            return comparison.report
        }
    }

    private init(_ unit: LedgerUnit) {
        report = LedgerUnitReport(
            extents: unit.extents,
            firstLeaf: unit.extents.first?.leaves.lowerBound ?? 0,
            hashes: Array(repeating: nil, count: unit.leafCount)
        )
    }

    // MARK: Leaves

    private func place(ofLeaf leaf: Int) -> Int {
        report.extents.firstIndex { $0.leaves.contains(leaf) } ?? max(report.extents.count - 1, 0)
    }

    private func place(ofPosition position: Int64) -> Int {
        report.extents.firstIndex { $0.covers(position) } ?? max(report.extents.count - 1, 0)
    }

    private mutating func note(_ defect: String, ofBlock place: Int) {
        report.defects[place, default: []].insert(defect)
    }

    private mutating func readLeaves(_ transaction: PostgresTransaction) async throws {
        let end = report.firstLeaf + report.hashes.count
        var from = report.firstLeaf
        var expected = from
        var positions: [Int64?] = Array(repeating: nil, count: report.hashes.count)
        var digests: [ArraySlice<UInt8>] = Array(repeating: [], count: report.hashes.count)
        while from < end {
            let rows = try await transaction.query(
                LedgerVerificationReader.runs,
                [.int8(Int64(from)), .int8(Int64(end)), .int8(Int64(LedgerVerificationReader.runsAtOnce))]
            )
            for row in rows {
                let first = try row.decode(Int.self, at: 0)
                let places = try row.decode([Int64].self, at: 1)
                let hashes = try row.decode([UInt8].self, at: 2)
                let sums = try row.decode([UInt8].self, at: 3)
                if first != expected { note("first_leaf", ofBlock: place(ofLeaf: min(first, expected))) }
                for index in places.indices where first + index < end {
                    let slot = first + index - report.firstLeaf
                    let (hash, sum) = (index * LedgerHash.byteCount, index * LedgerColumn.digestBytes)
                    guard hash + LedgerHash.byteCount <= hashes.count, sum + LedgerColumn.digestBytes <= sums.count,
                        positions[slot] == nil
                    else { continue }
                    positions[slot] = places[index]
                    report.hashes[slot] = LedgerHash(hashes[hash..<(hash + LedgerHash.byteCount)])
                    digests[slot] = sums[sum..<(sum + LedgerColumn.digestBytes)]
                }
                expected = first + places.count
                from = first + 1
            }
            if rows.count < LedgerVerificationReader.runsAtOnce { break }
        }
        if expected > end { note("leaves", ofBlock: report.extents.count - 1) }
        report.positions = positions
        gather(positions, digests)
    }

    private mutating func gather(_ positions: [Int64?], _ digests: [ArraySlice<UInt8>]) {
        leaves.reserveCapacity(positions.count)
        var isSorted = true
        for (slot, position) in positions.enumerated() {
            guard let position, let hash = report.hashes[slot] else {
                note("leaves", ofBlock: place(ofLeaf: report.firstLeaf + slot))
                continue
            }
            if let last = leaves.last, last.position >= position {
                isSorted = false
                note("positions", ofBlock: place(ofLeaf: report.firstLeaf + slot))
            }
            leaves.append(Leaf(position: position, hash: hash, digests: digests[slot]))
        }
        if !isSorted { leaves.sort { $0.position < $1.position } }
    }

    // MARK: Events

    private mutating func compare(_ rows: ArraySlice<PostgresRow>) throws {
        report.events += rows.count
        var start = rows.startIndex
        while start < rows.endIndex {
            let position = try rows[start].decode(Int64.self, at: 0)
            var end = start + 1
            while end < rows.endIndex, try rows[end].decode(Int64.self, at: 0) == position { end += 1 }
            while next < leaves.count, leaves[next].position < position {
                missing(leaves[next])
                next += 1
            }
            if next < leaves.count, leaves[next].position == position {
                try compare(rows[start..<end], with: leaves[next])
                next += 1
            } else {
                for row in rows[start..<end] { report.suspects.append(try suspect(row, .unsealed, position)) }
            }
            start = end
        }
    }

    private mutating func missing(_ leaf: Leaf) {
        report.suspects.append(LedgerSuspect(kind: .missing, position: leaf.position, sealed: Array(leaf.digests)))
    }

    /// One of them may be the leaf's event, all others were not sealed.
    private mutating func compare(_ rows: ArraySlice<PostgresRow>, with leaf: Leaf) throws {
        var matching: Int?
        for (index, row) in zip(rows.indices, rows) {
            do throws(LedgerEntryError) { try buffer.encode(row) } catch { continue }
            noteType(row)
            guard matching == nil, buffer.leafHash == leaf.hash else { continue }
            matching = index
            var digests: [UInt8] = []
            buffer.appendColumnDigests(to: &digests)
            if !leaf.digests.elementsEqual(digests) {
                note("column_digests", ofBlock: place(ofPosition: leaf.position))
            }
        }
        for (index, row) in zip(rows.indices, rows) where index != matching {
            var suspect = try suspect(
                row,
                matching == nil && index == rows.startIndex ? .differs : .unsealed,
                leaf.position
            )
            if suspect.kind == .differs { suspect.sealed = Array(leaf.digests) }
            report.suspects.append(suspect)
        }
    }

    private mutating func noteType(_ row: PostgresRow) {
        guard !buffer.isNull(.currentHash) || !buffer.isNull(.previousHash) else { return }
        if let type = try? row.decode(String.self, at: 3) { report.chainedTypes.insert(type) }
    }

    private mutating func suspect(_ row: PostgresRow, _ kind: LedgerSuspect.Kind, _ position: Int64) throws
        -> LedgerSuspect
    {
        var suspect = LedgerSuspect(kind: kind, position: position, event: LedgerEventPlace(row))
        do throws(LedgerEntryError) {
            try buffer.encode(row)
            buffer.appendColumnDigests(to: &suspect.found)
        } catch {
            if case .invalid(let column) = error { suspect.impossibleColumn = column }
        }
        return suspect
    }

    private mutating func finish() {
        while next < leaves.count {
            missing(leaves[next])
            next += 1
        }
    }
}

extension LedgerEventPlace {
    /// nil where a column has no value.
    init?(_ row: PostgresRow) {
        guard let type = try? row.decode(String.self, at: 3), let id = try? row.decode(String.self, at: 4),
            let version = try? row.decode(Int32.self, at: 5)
        else { return nil }
        self.init(aggregateType: type, aggregateID: id, version: Int(version))
    }
}

/// The leaves of a block made anew from its events.
struct LedgerRescan {
    static func hashes(of extent: LedgerExtent, _ reader: LedgerVerificationReader) async throws -> [LedgerHash] {
        try await reader.reading { transaction in
            var hashes: [LedgerHash] = []
            var buffer = LedgerEntryBuffer()
            try await LedgerVerificationReader.pages(after: extent.lower, upTo: extent.upper, in: transaction) { rows in
                for row in rows where hashes.count <= extent.leaves.count {
                    do throws(LedgerEntryError) { try buffer.encode(row) } catch { continue }
                    hashes.append(buffer.leafHash)
                }
            }
            return hashes
        }
    }
}
