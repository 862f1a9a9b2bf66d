import Foundation

@testable import Millrace

/// A ledger without a database: events, their tree, and the key that signs for them.
struct LedgerSample {
    let key: LedgerSigningKey
    let events: [LedgerEntry]
    var tree: StoredTree

    /// Events of a few chained streams, with data of up to some bytes.
    init(count: Int, dice: inout Dice, name: String = "shop.example/ledger", longest: Int = 200) throws {
        key = try LedgerSigningKey.generate(name: name)
        var heads: [StreamID: (version: Int, hash: LedgerHash)] = [:]
        var events: [LedgerEntry] = []
        for number in 0..<count {
            let stream = StreamID("account", "a-\(Int.random(in: 1...3, using: &dice))é")
            let head = heads[stream] ?? (0, .zero)
            let time = Date(timeIntervalSinceReferenceDate: 800_000_000 + Double(number) / 8)
            let text = String(repeating: "ü\\n", count: Int.random(in: 0...(longest / 5), using: &dice))
            let event = try LedgerEntry(
                position: Position(Int64(3 * number + 1)),
                id: UUID(),
                type: "account.changed",
                stream: stream,
                version: head.version + 1,
                data: JSON(#"{"text": "\#(text)"}"#),
                metadata: number % 3 == 0 ? JSON("{}") : nil,
                occurredAt: time,
                createdAt: time,
                payload: number % 4 == 0 ? OpaquePayload(bytes: [0, 255, 10], contentType: "x/y") : nil
            ).linked(after: head.hash)
            heads[stream] = (head.version + 1, event.currentHash ?? .zero)
            events.append(event)
        }
        self.events = events
        tree = StoredTree(events.map(\.leafHash))
    }

    var keyring: LedgerKeyring {
        get throws { try LedgerKeyring([key.verifierKey]) }
    }

    mutating func checkpoint(_ size: Int, by key: LedgerSigningKey? = nil) throws -> SignedNote {
        let root = try MerkleFrontier(size: size, from: tree.answer(MerkleFrontier.plan(size: size))).root
        return try LedgerCheckpoint(origin: self.key.name, size: size, root: root, block: size, blockHash: root)
            .signed(by: key ?? self.key)
    }

    mutating func proof(_ index: Int, in size: Int) throws -> LedgerEventProof {
        let answer = try tree.answer(InclusionProof.plan(index: index, size: size))
        let path = try InclusionProof(index: index, size: size, from: answer).path
        return LedgerEventProof(entry: events[index].bytes, index: index, path: path, checkpoint: try checkpoint(size))
    }

    mutating func consistency(from earlier: Int, to later: Int) throws -> LedgerConsistencyProof {
        let answer = try tree.answer(ConsistencyProof.plan(from: earlier, to: later))
        let path = try ConsistencyProof(from: earlier, to: later, stored: answer).path
        return LedgerConsistencyProof(path: path, earlier: try checkpoint(earlier), later: try checkpoint(later))
    }
}
