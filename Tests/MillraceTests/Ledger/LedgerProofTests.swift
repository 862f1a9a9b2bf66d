import Testing

@testable import Millrace

@Suite("A proof's file")
struct LedgerProofTests {
    private var dice = Dice(seed: Dice.seed)

    @Test("proves an event, and gives it")
    mutating func events() throws {
        var sample = try LedgerSample(count: 40, dice: &dice)
        for size in [1, 2, 3, 17, 40] {
            for index in 0..<size {
                let file = try sample.proof(index, in: size).description
                let proof = try LedgerEventProof(file)
                #expect(proof.description == file)
                let proven = try proof.verify(with: sample.keyring)
                #expect(proven.event == sample.events[index] && proven.event.isLinked)
                #expect(proven.index == index && proven.checkpoint.size == size)
                #expect(proven.signers == [sample.key.verifierKey])
            }
        }
    }

    @Test("proves that a ledger went on")
    mutating func continuations() throws {
        var sample = try LedgerSample(count: 20, dice: &dice)
        for later in 0...20 {
            for earlier in 0...later {
                let file = try sample.consistency(from: earlier, to: later).description
                let proof = try LedgerConsistencyProof(file)
                #expect(proof.description == file)
                let proven = try proof.verify(with: sample.keyring)
                #expect(proven.earlier.size == earlier && proven.later.size == later)
            }
        }
    }

    @Test("proves nothing with any bit another one")
    mutating func everyBit() throws {
        var sample = try LedgerSample(count: 6, dice: &dice, longest: 0)
        let keyring = try sample.keyring
        let event = Array(try sample.proof(4, in: 6).description.utf8)
        let continuation = Array(try sample.consistency(from: 3, to: 6).description.utf8)
        for bit in 0..<(event.count * 8) {
            var file = event
            file[bit / 8] ^= 1 << (bit % 8)
            #expect(throws: LedgerProofError.self, "bit \(bit)") {
                try LedgerEventProof(utf8: file).verify(with: keyring)
            }
        }
        for bit in 0..<(continuation.count * 8) {
            var file = continuation
            file[bit / 8] ^= 1 << (bit % 8)
            #expect(throws: LedgerProofError.self, "bit \(bit)") {
                try LedgerConsistencyProof(utf8: file).verify(with: keyring)
            }
        }
    }

    @Test("is refused cut short, or with more behind it")
    mutating func cutFiles() throws {
        var sample = try LedgerSample(count: 6, dice: &dice, longest: 0)
        let keyring = try sample.keyring
        let event = Array(try sample.proof(4, in: 6).description.utf8)
        let continuation = Array(try sample.consistency(from: 3, to: 6).description.utf8)
        for count in 0..<event.count {
            #expect(throws: LedgerProofError.self) {
                try LedgerEventProof(utf8: Array(event[..<count])).verify(with: keyring)
            }
        }
        for count in 0..<continuation.count {
            #expect(throws: LedgerProofError.self) {
                try LedgerConsistencyProof(utf8: Array(continuation[..<count])).verify(with: keyring)
            }
        }
        for more in ["\n", "x\n", "\n\n"] {
            #expect(throws: LedgerProofError.self) { try LedgerEventProof(utf8: event + Array(more.utf8)) }
            #expect(throws: LedgerProofError.self) { try LedgerConsistencyProof(utf8: continuation + Array(more.utf8)) }
        }
    }

    @Test("says which step failed")
    mutating func steps() throws {
        var sample = try LedgerSample(count: 9, dice: &dice)
        var other = try LedgerSample(count: 9, dice: &dice, name: "other.example")
        let keyring = try LedgerKeyring([sample.key.verifierKey, other.key.verifierKey])
        let stranger = try LedgerKeyring([LedgerSigningKey.generate(name: sample.key.name).verifierKey])
        let proof = try sample.proof(4, in: 9)
        #expect(throws: LedgerProofError.checkpointRefused(.signersUnknown([sample.key.name]))) {
            try proof.verify(with: stranger)
        }
        let note = try sample.checkpoint(9)
        let entry = sample.events[4].bytes
        #expect(throws: LedgerProofError.notIncluded) {
            try LedgerEventProof(entry: entry, index: 4, path: [], checkpoint: note).verify(with: keyring)
        }
        #expect(throws: LedgerProofError.malformed("it must begin with the line “c2sp.org/tlog-proof@v1”")) {
            try LedgerEventProof(sample.consistency(from: 3, to: 9).description)
        }
        #expect(throws: LedgerProofError.malformed("it must begin with the line “millrace/consistency-proof@v1”")) {
            try LedgerConsistencyProof(proof.description)
        }
        let lines = proof.description.split(separator: "\n", omittingEmptySubsequences: false)
        let withoutEntry = (lines[..<1] + lines[2...]).joined(separator: "\n")
        #expect(throws: LedgerProofError.malformed("its second line must have the word extra and the event in base64"))
        {
            try LedgerEventProof(withoutEntry)
        }
        // A leaf that is no event, in a tree that is signed.
        let leaf = Array("no event".utf8)
        let root = MerkleTree.leafHash(of: leaf)
        let single = try LedgerCheckpoint(origin: sample.key.name, size: 1, root: root, block: 1, blockHash: .zero)
            .signed(by: sample.key)
        #expect(throws: LedgerProofError.noEntry(.unknownForm(UInt8(ascii: "n")))) {
            try LedgerEventProof(entry: leaf, index: 0, path: [], checkpoint: single).verify(with: keyring)
        }
        let (first, second) = (try sample.checkpoint(3), try other.checkpoint(9))
        #expect(throws: LedgerProofError.differentOrigins(earlier: sample.key.name, later: other.key.name)) {
            try LedgerConsistencyProof(path: [], earlier: first, later: second).verify(with: keyring)
        }
        #expect(throws: LedgerProofError.notContinued) {
            try LedgerConsistencyProof(path: [], earlier: first, later: note).verify(with: keyring)
        }
        #expect(throws: LedgerProofError.notContinued) {
            try LedgerConsistencyProof(path: [], earlier: note, later: first).verify(with: keyring)
        }
    }

    @Test("is believed through keys that old ones endorsed")
    mutating func rotation() throws {
        var sample = try LedgerSample(count: 8, dice: &dice)
        let new = try LedgerSigningKey.generate(name: sample.key.name)
        let answer = try sample.tree.answerOfConsistency(from: 5, to: 8)
        let proof = LedgerConsistencyProof(
            path: answer,
            earlier: try sample.checkpoint(5),
            later: try sample.checkpoint(8, by: new)
        )
        #expect(throws: LedgerProofError.self) { try proof.verify(with: sample.keyring) }
        let keyring = try LedgerKeyring("\(sample.key.verifierKey)\n\n\(sample.key.endorse(new.verifierKey))")
        #expect(try proof.verify(with: keyring).later.size == 8)
    }

    @Test("has no more hashes than trees are high")
    mutating func longPaths() throws {
        var sample = try LedgerSample(count: 2, dice: &dice)
        let note = try sample.checkpoint(2)
        let path = [LedgerHash](repeating: .zero, count: 65)
        let proof = LedgerEventProof(entry: sample.events[0].bytes, index: 0, path: path, checkpoint: note)
        #expect(throws: LedgerProofError.malformed("it has more hashes than any tree needs")) {
            try LedgerEventProof(proof.description)
        }
    }
}

extension StoredTree {
    fileprivate mutating func answerOfConsistency(from earlier: Int, to later: Int) throws -> [LedgerHash] {
        let plan = ConsistencyProof.plan(from: earlier, to: later)
        return try plan.hashes(from: answer(plan))
    }
}
