import MillracePostgres

@testable import Millrace

/// A ledger recomputed from the events alone, from the first leaf on.
struct LedgerAudit: CustomStringConvertible {
    var problems: [String] = []
    var blocks = 0
    var events = 0
    /// Events behind the last block.
    var unsealed = 0

    private static let allEvents: PostgresStatement = """
        SELECT id, event_id, event_type, aggregate_type, aggregate_id, version, event_data, metadata, occurred_at, created_at, payload,
               content_type, previous_hash, current_hash
        FROM millrace.events ORDER BY id
        """
    private static let allLeaves: PostgresStatement =
        "SELECT first_leaf, positions FROM millrace.ledger_leaves ORDER BY first_leaf"

    init(of store: EventStore) async throws {
        let tables = LedgerTables(session: store.client)
        let keyring = try await store.ledger.keyring()
        let leaves = try LedgerLeaves(try await store.client.query(Self.allEvents))
        var frontier = MerkleFrontier()
        var previous = LedgerHash.zero
        let count = try await tables.block()?.block.number ?? 0
        for number in 1..<(count + 1) {
            guard let stored = try await tables.block(number) else {
                problems.append("there is no block \(number)")
                continue
            }
            let block = stored.block
            if stored.firstLeaf != frontier.size {
                problems.append("block \(number) does not begin where the last one ended")
            }
            guard block.size <= leaves.count else {
                problems.append("block \(number) has more leaves than there are events")
                break
            }
            let first = leaves.positions[frontier.size]
            for hash in leaves.hashes[frontier.size..<block.size] { frontier.append(hash) }
            if block.root != frontier.root || block.previous != previous || block.hash != stored.hash
                || block.first.rawValue != first || block.last.rawValue != leaves.positions[block.size - 1]
            {
                problems.append("block \(number) is not what its events make")
            }
            let note = try await store.ledger.checkpoint(number)
            if try keyring.checkpoint(note).root != frontier.root {
                problems.append("checkpoint \(number) has another root")
            }
            previous = stored.hash
            blocks += 1
        }
        events = frontier.size
        unsealed = leaves.count - events
        var next: Int64 = 0
        for row in try await store.client.query(Self.allLeaves) {
            let (first, positions) = try row.decode(Int64.self, [Int64].self)
            let end = Int(first) + positions.count
            if first != next || end > leaves.count || positions != Array(leaves.positions[Int(first)..<end]) {
                problems.append("the leaves from \(first) on are not those of the events")
            }
            next = first + Int64(positions.count)
        }
        if next != events { problems.append("\(next) leaves are stored, and \(events) are sealed") }
        if try await tables.frontier(size: events) != frontier { problems.append("the stored nodes make another tree") }
    }

    var isClean: Bool { problems.isEmpty }
    var description: String { "\(blocks) blocks, \(events) events sealed, \(unsealed) not: \(problems)" }
}

/// A store with a ledger of which nothing is sealed, and its key.
func withLedger<Value>(
    connections: Int = 10,
    name: String = "shop.example/ledger",
    _ body: (EventStore, LedgerSigningKey) async throws -> Value
) async throws -> Value {
    try await withStore(connections: connections) { store in
        let key = try LedgerSigningKey.generate(name: name)
        try await store.ledger.initialise(key: key.verifierKey, sealInterval: .milliseconds(100))
        return try await body(store, key)
    }
}

extension EventStore {
    /// Stores so many events, of a stream of their own.
    func appendSome(_ count: Int, to id: String) async throws {
        let events = (0..<count).map { NewEvent(type: "item.counted", data: JSON(#"{"n": \#($0)}"#)) }
        try await append(events, to: StreamID("item", id))
    }
}
