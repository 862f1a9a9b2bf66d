import MillracePostgres

/// Events that are to be sealed, hashed: as they go into `millrace.ledger_leaves`.
struct LedgerLeaves: Sendable {
    /// How many a row of the table has at most.
    static let runLimit = 1024

    private(set) var positions: [Int64] = []
    private(set) var hashes: [LedgerHash] = []
    private(set) var digests: [UInt8] = []
    private(set) var byteCount = 0

    init() {}

    /// Hashes the rows, whose columns are those of an entry.
    init(_ rows: some RandomAccessCollection<PostgresRow>) throws(LedgerSealingError) {
        positions.reserveCapacity(rows.count)
        hashes.reserveCapacity(rows.count)
        digests.reserveCapacity(rows.count * LedgerColumn.digestBytes)
        var buffer = LedgerEntryBuffer()
        for row in rows {
            do throws(LedgerEntryError) { try buffer.encode(row) } catch { throw .noEntry(error) }
            positions.append(buffer.position)
            hashes.append(buffer.leafHash)
            buffer.appendColumnDigests(to: &digests)
            buffer.withEntry { byteCount += $0.count }
        }
    }

    var count: Int { positions.count }

    mutating func append(_ other: LedgerLeaves) {
        positions += other.positions
        hashes += other.hashes
        digests += other.digests
        byteCount += other.byteCount
    }

    private static let addLeaves: PostgresStatement = "SELECT millrace.add_leaves($1, $2, $3, $4)"

    /// The calls that store them, behind so many leaves that the tree has.
    func calls(after size: Int) -> [PostgresCall] {
        stride(from: 0, to: count, by: LedgerLeaves.runLimit).map { start in
            let run = start..<min(start + LedgerLeaves.runLimit, count)
            var bytes: [UInt8] = []
            bytes.reserveCapacity(run.count * LedgerHash.byteCount)
            for hash in hashes[run] { hash.withBytes { bytes.append(contentsOf: $0) } }
            let digestRun = (run.lowerBound * LedgerColumn.digestBytes)..<(run.upperBound * LedgerColumn.digestBytes)
            return PostgresCall(
                LedgerLeaves.addLeaves,
                [
                    .int8(Int64(size + start)), .int8Array(Array(positions[run])), .bytea(bytes),
                    .bytea(Array(digests[digestRun])),
                ]
            )
        }
    }
}
