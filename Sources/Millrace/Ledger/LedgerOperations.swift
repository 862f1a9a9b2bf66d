public import MillracePostgres

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The ledger of a store: beginning it, its keys, and proofs from it.
///
///     let key = try LedgerSigningKey.generate(name: "shop.example/ledger")
///     try await store.ledger.initialise(key: key.verifierKey)
///     try await store.ledger.declare(["account"])
///     try await store.ledger.seal(with: key)
///     let proof = try await store.ledger.prove(.id(event.id))
///
/// What the ledger's rules refuse throws ``EventStoreError/ledgerRefused(_:hint:)``, what cannot be had from it ``LedgerError``. Looking and proving
/// needs the role `millrace_consumer`, the rest `millrace_admin`. The secret key never goes to the database.
public struct LedgerOperations: Sendable {
    let store: EventStore

    private func query(
        _ statement: PostgresStatement,
        _ parameters: [PostgresValue] = [],
        in session: (any PostgresSession)?
    ) async throws -> PostgresRows {
        try await EventStoreError.translating { try await (session ?? store.client).query(statement, parameters) }
    }

    private func reading<Value: Sendable>(
        in session: (any PostgresSession)?,
        _ body: (LedgerTables) async throws -> Value
    ) async throws -> Value {
        try await EventStoreError.translating {
            do {
                return try await body(LedgerTables(session: session ?? store.client))
            } catch let missing as MerkleHashesMissing {
                throw LedgerError.storedWrongly("\(missing)")
            }
        }
    }
}

extension EventStore {
    /// Keeping a ledger, and proving from it.
    public var ledger: LedgerOperations { LedgerOperations(store: self) }
}

// MARK: Beginning, and keys

extension LedgerOperations {
    private static let initLedger: PostgresStatement =
        "SELECT millrace.init_ledger($1, $2, $3 * interval '1 millisecond')"
    private static let declareLedgered: PostgresStatement = "SELECT millrace.declare_ledgered($1)"
    private static let rotateKey: PostgresStatement = "SELECT millrace.rotate_ledger_key($1, $2, $3)"
    private static let setSealInterval: PostgresStatement =
        "SELECT millrace.set_seal_interval($1 * interval '1 millisecond')"
    private static let listKeys = PostgresStatement(utf8: PackageResources.ledger_keys_sql)
    /// What the database's own functions say, where nothing of theirs is called.
    private static let noLedger = EventStoreError.ledgerRefused(
        "this store keeps no ledger",
        hint: "Begin one with `millrace ledger init`."
    )

    /// Begins the ledger, whose origin is the key's name: from now on a sealer may seal, everything from the first event on. Once. One round trip.
    public func initialise(
        key: LedgerVerifierKey,
        sealInterval: Duration = .seconds(1),
        in session: (any PostgresSession)? = nil
    ) async throws {
        let parameters: [PostgresValue] = [
            .text(key.name), .text("\(key)"), .int8(sealInterval.milliseconds),
        ]
        _ = try await query(LedgerOperations.initLedger, parameters, in: session)
    }

    /// Chains the events of these aggregate types from now on, for ever. One round trip.
    /// - Returns: those that were not declared before.
    @discardableResult
    public func declare(_ types: [String], in session: (any PostgresSession)? = nil) async throws -> [String] {
        try await query(LedgerOperations.declareLedgered, [.textArray(types)], in: session).single()
            .decode([String].self, at: 0)
    }

    /// Has the old key endorse the new one, which signs from now on. Sealers that have the old one only are refused. One round trip.
    /// - Returns: the new key's number.
    @discardableResult
    public func rotate(
        from old: LedgerSigningKey,
        to new: LedgerVerifierKey,
        reason: String? = nil,
        in session: (any PostgresSession)? = nil
    ) async throws -> Int {
        guard let newest = try await keys(in: session).last else {
            throw LedgerOperations.noLedger
        }
        guard newest.verifierKey == old.verifierKey else {
            throw LedgerSealingError.keyIsNotNewest(newest: "\(newest.verifierKey)")
        }
        let note = try old.endorse(new)
        let parameters: [PostgresValue] = [.text("\(new)"), .text("\(note)"), .text(reason)]
        return try await query(LedgerOperations.rotateKey, parameters, in: session).single().decode(Int.self, at: 0)
    }

    /// From 100 milliseconds to an hour. Sealers take it over with the next block. One round trip.
    public func setSealInterval(_ interval: Duration, in session: (any PostgresSession)? = nil) async throws {
        _ = try await query(LedgerOperations.setSealInterval, [.int8(interval.milliseconds)], in: session)
    }

    /// The oldest first; none where no ledger is kept. One round trip.
    public func keys(in session: (any PostgresSession)? = nil) async throws -> [LedgerKeyRecord] {
        try await query(LedgerOperations.listKeys, in: session).map { try LedgerKeyRecord($0) }
    }

    /// The keys as the database has them: the first one, and those that were endorsed since. Who does not trust the database keeps the first one
    /// outside. One round trip.
    public func keyring(in session: (any PostgresSession)? = nil) async throws -> LedgerKeyring {
        let keys = try await keys(in: session)
        return try LedgerKeyring(keys.prefix(1).map(\.verifierKey), endorsements: keys.compactMap(\.endorsement))
    }

    /// What ``LedgerKeyring/init(_:)`` reads: to be kept outside. One round trip.
    public func keyringText(in session: (any PostgresSession)? = nil) async throws -> String {
        let keys = try await keys(in: session)
        let first = keys.prefix(1).map { "\($0.verifierKey)\n" }
        return (first + keys.compactMap(\.endorsement).map { "\n\($0)" }).joined()
    }
}

// MARK: Sealing, and how it stands

extension LedgerOperations {
    private static let state = PostgresStatement(utf8: PackageResources.ledger_state_sql)
    private static let listPublications = PostgresStatement(utf8: PackageResources.ledger_publications_sql)
    /// Unsealed events that ``status(countingTo:in:)`` counts.
    public static let countLimit = 100_000

    /// Seals what is there now, until nothing is left; see ``LedgerSealer/sealAll()``.
    @discardableResult
    public func seal(with key: LedgerSigningKey) async throws -> LedgerSealer.Sealed {
        try await LedgerSealer(store, key: key, logger: store.logger).sealAll()
    }

    /// nil where no ledger is kept. One round trip.
    public func status(
        countingTo limit: Int = LedgerOperations.countLimit,
        in session: (any PostgresSession)? = nil
    ) async throws -> LedgerStatus? {
        try await query(LedgerOperations.state, [.int4(Int32(clamping: limit))], in: session).first.map {
            try LedgerStatus($0)
        }
    }

    func isKept() async throws -> Bool { try await !keys().isEmpty }

    /// Every place that was ever published to, by name. One round trip.
    public func publications(in session: (any PostgresSession)? = nil) async throws -> [LedgerPublication] {
        try await query(LedgerOperations.listPublications, in: session).map { try LedgerPublication($0) }
    }

    /// The signed checkpoint of a block; of the last one where none is named. One round trip.
    public func checkpoint(_ block: Int? = nil, in session: (any PostgresSession)? = nil) async throws -> SignedNote {
        try await reading(in: session) { tables in
            guard let note = try await tables.checkpoint(block) else {
                throw LedgerError.noBlock(block.map { "block \($0)" } ?? "sealed block yet")
            }
            return note
        }
    }
}

// MARK: Proving

extension LedgerOperations {
    /// The proof that an event is in the ledger, up to its newest checkpoint. It was checked against the database's own keys when it is returned.
    /// Some six round trips, whatever the size of the log.
    /// - Throws: ``LedgerError/noEvent(_:)``, ``LedgerError/notSealed(_:interval:)``; ``LedgerError/storedWrongly(_:)`` where what is stored does not prove it.
    public func prove(_ event: LedgerEventName, in session: (any PostgresSession)? = nil) async throws
        -> LedgerEventProof
    {
        let keyring = try await keyring(in: session)
        let proof = try await reading(in: session) { tables in
            guard let row = try await tables.event(event) else { throw LedgerError.noEvent(event) }
            var entry = LedgerEntryBuffer()
            try entry.encode(row)
            let position = Position(entry.position)
            guard let last = try await tables.block(), let block = try await tables.block(holding: position) else {
                throw try await notSealed(position, in: session)
            }
            guard let index = try await tables.leaf(at: position, in: block) else {
                throw LedgerError.storedWrongly(
                    "event \(position) is no leaf of block \(block.block.number), which reaches beyond it"
                )
            }
            guard let note = try await tables.checkpoint(last.block.number) else {
                throw LedgerError.storedWrongly("block \(last.block.number) has no checkpoint")
            }
            let plan = InclusionProof.plan(index: index, size: last.block.size)
            let path = try InclusionProof(index: index, size: last.block.size, from: await tables.hashes(for: plan))
                .path
            return LedgerEventProof(entry: entry.entry, index: index, path: path, checkpoint: note)
        }
        do throws(LedgerProofError) { _ = try proof.verify(with: keyring) } catch {
            throw LedgerError.storedWrongly("event \(event) cannot be proven (\(error))")
        }
        return proof
    }

    private func notSealed(_ position: Position, in session: (any PostgresSession)?) async throws -> any Error {
        guard let status = try await status(countingTo: 1, in: session) else { return LedgerOperations.noLedger }
        return LedgerError.notSealed(position, interval: status.sealInterval)
    }

    /// The proof that the ledger only grew since a checkpoint that somebody has kept.
    /// - Parameters:
    ///   - earlier: the checkpoint, as it was published.
    ///   - block: up to the checkpoint of this one; nil: the newest.
    /// - Throws: ``LedgerError/forked(_:)`` where it is not the beginning of this ledger.
    public func proveConsistency(
        from earlier: SignedNote,
        toBlock block: Int? = nil,
        in session: (any PostgresSession)? = nil
    ) async throws -> LedgerConsistencyProof {
        let keyring = try await keyring(in: session)
        let old = try keyring.checkpoint(earlier)
        return try await reading(in: session) { tables in
            guard let later = try await tables.block(block), let note = try await tables.checkpoint(later.block.number)
            else { throw LedgerError.noBlock(block.map { "block \($0)" } ?? "sealed block yet") }
            guard old.size <= later.block.size else {
                throw LedgerError.forked(
                    "the checkpoint is of \(old.size) events, and block \(later.block.number) reaches \(later.block.size) only"
                )
            }
            let hashes = try await tables.hashes(for: ConsistencyProof.plan(from: old.size, to: later.block.size))
            let path = try ConsistencyProof(from: old.size, to: later.block.size, stored: hashes).path
            let proof = LedgerConsistencyProof(path: path, earlier: earlier, later: note)
            do throws(LedgerProofError) { _ = try proof.verify(with: keyring) } catch {
                throw LedgerError.forked("the ledger does not continue the checkpoint of \(old.size) events (\(error))")
            }
            return proof
        }
    }

    /// The proof that the ledger only grew between two of its blocks.
    public func proveConsistency(
        fromBlock earlier: Int,
        toBlock later: Int? = nil,
        in session: (any PostgresSession)? = nil
    ) async throws -> LedgerConsistencyProof {
        try await proveConsistency(from: try await checkpoint(earlier, in: session), toBlock: later, in: session)
    }
}
