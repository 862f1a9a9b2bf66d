import MillracePostgres

/// What the database keeps of the ledger, read. Nothing of it is believed here: what is made of it is checked where it is used.
struct LedgerTables: Sendable {
    let session: any PostgresSession

    private static let numbered = PostgresStatement(utf8: PackageResources.ledger_block_numbered_sql)
    private static let holding = PostgresStatement(utf8: PackageResources.ledger_block_holding_sql)
    private static let sized = PostgresStatement(utf8: PackageResources.ledger_block_sized_sql)
    private static let leafOf = PostgresStatement(utf8: PackageResources.ledger_leaf_of_sql)
    private static let leafHashes = PostgresStatement(utf8: PackageResources.ledger_leaf_hashes_sql)
    private static let nodeHashes = PostgresStatement(utf8: PackageResources.ledger_node_hashes_sql)
    private static let event = PostgresStatement(utf8: PackageResources.ledger_event_sql)
    private static let checkpoint: PostgresStatement = "SELECT millrace.ledger_checkpoint($1)"

    /// A block as it is stored, and the hash that is stored with it.
    struct StoredBlock: Sendable {
        let block: LedgerBlock
        let firstLeaf: Int
        let hash: LedgerHash
    }

    /// The block of this number; the last one where none is named. One round trip.
    func block(_ number: Int? = nil) async throws -> StoredBlock? {
        try await block(LedgerTables.numbered, [.int8(number.map(Int64.init))])
    }

    /// The block that an event at this position is in, if it is sealed. One round trip.
    func block(holding position: Position) async throws -> StoredBlock? {
        try await block(LedgerTables.holding, [.int8(position.rawValue)])
    }

    /// The block with which the tree had this size. One round trip.
    func block(withTreeOf size: Int) async throws -> StoredBlock? {
        try await block(LedgerTables.sized, [.int8(Int64(size))])
    }

    private func block(_ statement: PostgresStatement, _ parameters: [PostgresValue]) async throws -> StoredBlock? {
        guard let row = try await session.query(statement, parameters).first else { return nil }
        let number = try row.decode(Int.self, at: 0)
        let block = LedgerBlock(
            number: number,
            previous: try row.ledgerHash(at: 1, of: "block \(number)"),
            first: Position(try row.decode(Int64.self, at: 2)),
            last: Position(try row.decode(Int64.self, at: 3)),
            size: try row.decode(Int.self, at: 5),
            root: try row.ledgerHash(at: 6, of: "block \(number)"),
            sealedAt: try row.decode(Int64.self, at: 7)
        )
        return StoredBlock(
            block: block,
            firstLeaf: try row.decode(Int.self, at: 4),
            hash: try row.ledgerHash(at: 8, of: "block \(number)")
        )
    }

    /// The signed checkpoint of a block. One round trip.
    func checkpoint(_ number: Int?) async throws -> SignedNote? {
        let row = try await session.query(LedgerTables.checkpoint, [.int8(number.map(Int64.init))]).single()
        return try row.decode(String?.self, at: 0).map { try SignedNote($0) }
    }

    /// Which leaf of a block an event is; nil where the block has none at this position. One round trip.
    func leaf(at position: Position, in stored: StoredBlock) async throws -> Int? {
        let parameters: [PostgresValue] = [
            .int8(Int64(stored.firstLeaf)), .int8(Int64(stored.block.size)), .int8(position.rawValue),
        ]
        return try await session.query(LedgerTables.leafOf, parameters).first?.decode(Int.self, at: 0)
    }

    /// The event's row, its columns in the order of an entry. One round trip.
    func event(_ name: LedgerEventName) async throws -> PostgresRow? {
        let parameters: [PostgresValue] =
            switch name {
            case .position(let position): [.int8(position.rawValue), .uuid(nil)]
            case .id(let id): [.int8(nil), .uuid(id)]
            }
        return try await session.query(LedgerTables.event, parameters).first
    }

    /// What a plan asks for. One round trip.
    /// - Throws: ``MerkleHashesMissing`` where not all of it is stored.
    func hashes(for plan: MerklePlan) async throws -> MerkleHashes {
        var hashes = MerkleHashes()
        if plan.runs.isEmpty { return hashes }
        let calls = plan.runs.map { run in
            let (first, end) = (Int64(run.indices.lowerBound), Int64(run.indices.upperBound))
            return run.level == 0
                ? PostgresCall(LedgerTables.leafHashes, [.int8(first), .int8(end)])
                : PostgresCall(LedgerTables.nodeHashes, [.int4(Int32(run.level)), .int8(first), .int8(end)])
        }
        for (run, rows) in zip(plan.runs, try await session.pipeline(calls)) {
            var found: [LedgerHash] = []
            for row in rows {
                row.withBytes(at: 0) { bytes in
                    for start in stride(
                        from: 0,
                        to: bytes.count - bytes.count % LedgerHash.byteCount,
                        by: LedgerHash.byteCount
                    ) {
                        let hash = UnsafeRawBufferPointer(rebasing: bytes[start..<(start + LedgerHash.byteCount)])
                        found.append(LedgerHash(copying: hash))
                    }
                }
            }
            try hashes.add(found, of: run)
        }
        return hashes
    }

    /// The tree of this size, to go on from. One round trip.
    func frontier(size: Int) async throws -> MerkleFrontier {
        try MerkleFrontier(size: size, from: await hashes(for: MerkleFrontier.plan(size: size)))
    }
}

extension PostgresRow {
    func ledgerHash(at column: Int, of what: String) throws -> LedgerHash {
        guard let hash = LedgerHash(try decode([UInt8].self, at: column)) else {
            throw LedgerError.storedWrongly("a hash of \(what) has no \(LedgerHash.byteCount) bytes")
        }
        return hash
    }
}
