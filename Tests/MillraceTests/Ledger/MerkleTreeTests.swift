import Testing

@testable import Millrace

/// The leaves, roots and proofs with which implementations of Certificate Transparency are tested.
private enum Vectors {
    static let leaves: [[UInt8]] = [
        [], [0x00], [0x10], [0x20, 0x21], [0x30, 0x31], [0x40, 0x41, 0x42, 0x43], Array(0x50...0x57),
        Array(0x60...0x6F),
    ]
    static let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]
    static let inclusion: [(index: Int, size: Int, path: [String])] = [
        (0, 1, []),
        (
            0, 8,
            [
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ]
        ),
        (
            5, 8,
            [
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]
        ),
        (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        (
            1, 5,
            [
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ]
        ),
    ]
    static let consistency: [(earlier: Int, later: Int, path: [String])] = [
        (1, 1, []),
        (
            1, 8,
            [
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ]
        ),
        (
            6, 8,
            [
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]
        ),
        (
            2, 5,
            [
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ]
        ),
    ]
}

@Suite("The ledger's tree")
struct MerkleTreeTests {
    @Test("has the roots and proofs of Certificate Transparency")
    func vectors() throws {
        var stored = StoredTree([])
        #expect(stored.frontier.root.hex == Vectors.roots[0])
        for (count, leaf) in Vectors.leaves.enumerated() {
            stored.append(MerkleTree.leafHash(of: leaf))
            #expect(stored.frontier.root.hex == Vectors.roots[count + 1])
        }
        for (index, size, path) in Vectors.inclusion {
            let plan = InclusionProof.plan(index: index, size: size)
            let proof = InclusionProof(index: index, size: size, path: try plan.hashes(from: stored.answer(plan)))
            #expect(proof.path.map(\.hex) == path)
            let root = try #require(LedgerHash(hex: Vectors.roots[size]))
            #expect(proof.proves(MerkleTree.leafHash(of: Vectors.leaves[index]), in: root))
        }
        for (earlier, later, path) in Vectors.consistency {
            let plan = ConsistencyProof.plan(from: earlier, to: later)
            let proof = try ConsistencyProof(from: earlier, to: later, stored: stored.answer(plan))
            #expect(proof.path.map(\.hex) == path)
            let roots = try [earlier, later].map { try #require(LedgerHash(hex: Vectors.roots[$0])) }
            #expect(proof.proves(roots[0], continuedBy: roots[1]))
        }
    }

    @Test("is as RFC 6962 defines it for every leaf of every small tree")
    func smallTrees() throws {
        let naive = NaiveTree(count: 70)
        for size in 0...70 {
            var stored = StoredTree(Array(naive.leaves[..<size]))
            #expect(stored.frontier.root == naive.root(size))
            for index in 0..<size { try checkInclusion(index, size, &stored, naive) }
            for earlier in 0...size { try checkConsistency(earlier, size, &stored, naive) }
        }
    }

    @Test("and at random in large ones, with no more than some hundreds of hashes read")
    func largeTrees() throws {
        var dice = Dice(seed: Dice.seed)
        let naive = NaiveTree(count: 200_000)
        var stored = StoredTree(naive.leaves)
        for size in [200_000, 65_536, 65_537] + (0..<5).map({ _ in Int.random(in: 71...200_000, using: &dice) }) {
            let resumed = MerkleFrontier.plan(size: size)
            #expect(try MerkleFrontier(size: size, from: stored.answer(resumed)).root == naive.root(size))
            for _ in 0..<20 {
                let index = Int.random(in: 0..<size, using: &dice)
                try checkInclusion(index, size, &stored, naive)
                #expect(stored.read <= 1024, "seed \(Dice.seed)")
                try checkConsistency(index, size, &stored, naive)
                #expect(stored.read <= 1024, "seed \(Dice.seed)")
            }
        }
    }

    private func checkInclusion(_ index: Int, _ size: Int, _ stored: inout StoredTree, _ naive: NaiveTree) throws {
        let answer = try stored.answer(InclusionProof.plan(index: index, size: size))
        let proof = try InclusionProof(index: index, size: size, from: answer)
        #expect(proof.path == naive.path(index, 0..<size), "leaf \(index) of \(size), seed \(Dice.seed)")
        #expect(proof.proves(naive.leaves[index], in: naive.root(size)))
    }

    private func checkConsistency(_ earlier: Int, _ later: Int, _ stored: inout StoredTree, _ naive: NaiveTree) throws {
        let answer = try stored.answer(ConsistencyProof.plan(from: earlier, to: later))
        let proof = try ConsistencyProof(from: earlier, to: later, stored: answer)
        let path = earlier == 0 ? [] : naive.subproof(earlier, 0..<later)
        #expect(proof.path == path, "\(earlier) in \(later), seed \(Dice.seed)")
        #expect(proof.proves(naive.root(earlier), continuedBy: naive.root(later)))
    }

    @Test("goes on from any size as if it had never stopped")
    func resumes() throws {
        let naive = NaiveTree(count: 70_000)
        let stored = StoredTree(naive.leaves)
        for size in [0, 1, 255, 256, 257, 511, 65_535, 65_536, 65_792, 69_999] {
            var before = StoredTree(Array(naive.leaves[..<size]))
            var frontier = try MerkleFrontier(size: size, from: before.answer(MerkleFrontier.plan(size: size)))
            #expect(frontier == before.frontier)
            var completed: [MerkleNode] = []
            for leaf in naive.leaves[size...] { frontier.append(leaf, completed: &completed) }
            #expect(frontier == stored.frontier)
            for level in 1..<stored.levels.count {
                let known = level < before.levels.count ? before.levels[level] : []
                #expect(known + completed.filter { $0.level == level }.map(\.hash) == stored.levels[level])
            }
        }
    }

    @Test("proves nothing else: no other leaf, place, size or path, whichever bit is another")
    func otherInclusions() throws {
        let naive = NaiveTree(count: 33)
        for size in 1...33 {
            let root = naive.root(size)
            for index in 0..<size {
                let path = naive.path(index, 0..<size)
                for place in 0..<size where place != index {
                    #expect(!InclusionProof(index: place, size: size, path: path).proves(naive.leaves[index], in: root))
                }
                for place in [-1, size, Int.max, Int.min] {
                    #expect(!InclusionProof(index: place, size: size, path: path).proves(naive.leaves[index], in: root))
                }
                for bit in 0..<256 {
                    let proof = InclusionProof(index: index, size: size, path: path)
                    #expect(!proof.proves(naive.leaves[index].flipping(bit), in: root))
                    #expect(!proof.proves(naive.leaves[index], in: root.flipping(bit)))
                    for step in path.indices where bit % 16 == step {
                        var other = path
                        other[step] = path[step].flipping(bit)
                        let proof = InclusionProof(index: index, size: size, path: other)
                        #expect(!proof.proves(naive.leaves[index], in: root))
                    }
                }
                for other in [path + [root], Array(path.dropLast())] where other != path {
                    #expect(
                        !InclusionProof(index: index, size: size, path: other).proves(naive.leaves[index], in: root)
                    )
                }
            }
        }
    }

    @Test("continues no other tree, whichever bit is another")
    func otherContinuations() throws {
        let naive = NaiveTree(count: 33)
        for later in 1...33 {
            for earlier in 1...later {
                let path = naive.subproof(earlier, 0..<later)
                let (old, new) = (naive.root(earlier), naive.root(later))
                func proves(_ path: [LedgerHash], _ old: LedgerHash, _ new: LedgerHash) -> Bool {
                    ConsistencyProof(earlierSize: earlier, laterSize: later, path: path).proves(old, continuedBy: new)
                }
                #expect(proves(path, old, new))
                for bit in stride(from: 0, to: 256, by: 5) {
                    #expect(!proves(path, old.flipping(bit), new))
                    #expect(!proves(path, old, new.flipping(bit)))
                    for step in path.indices {
                        var other = path
                        other[step] = path[step].flipping(bit)
                        #expect(!proves(other, old, new))
                    }
                }
                #expect(!proves(path + [new], old, new))
                if !path.isEmpty { #expect(!proves(Array(path.dropLast()), old, new)) }
                #expect(
                    !ConsistencyProof(earlierSize: later + 1, laterSize: later, path: path).proves(
                        old,
                        continuedBy: new
                    )
                )
            }
            let empty = ConsistencyProof(earlierSize: 0, laterSize: later, path: [])
            #expect(empty.proves(MerkleTree.emptyRoot, continuedBy: naive.root(later)))
            #expect(!empty.proves(.zero, continuedBy: naive.root(later)))
        }
    }

    @Test("says which hashes are not stored")
    func missing() throws {
        let plan = InclusionProof.plan(index: 700, size: 1_000)
        #expect(plan.runs.map(\.level) == [0, 0, 1])
        var hashes = MerkleHashes()
        let run = plan.runs[0]
        #expect(throws: MerkleHashesMissing(run: run)) { try hashes.add([.zero], of: run) }
        #expect(throws: MerkleHashesMissing.self) { try plan.hashes(from: hashes) }
    }

    @Test("reads some hundreds of hashes for a proof of five million events")
    func planOfALargeTree() {
        for index in [0, 1_234_567, 4_999_999] {
            let read = InclusionProof.plan(index: index, size: 5_000_000).runs.map(\.indices.count).reduce(0, +)
            #expect(read > 20 && read <= 768)
        }
    }
}

extension LedgerHash {
    func flipping(_ bit: Int) -> LedgerHash {
        var bytes = bytes
        bytes[bit / 8] ^= 1 << (bit % 8)
        return LedgerHash(bytes) ?? self
    }
}

@Suite("A ledger's hash")
struct LedgerHashTests {
    @Test("is its bytes, and has one base64 and one hexadecimal form")
    func forms() throws {
        let hash = LedgerHash(hashing: Array("abc".utf8))
        #expect(hash.hex == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(LedgerHash(hash.bytes) == hash)
        #expect(LedgerHash(hex: hash.hex.uppercased()) == hash)
        #expect(LedgerHash(base64: hash.base64) == hash)
        #expect(LedgerHash.zero.bytes == [UInt8](repeating: 0, count: 32))
        #expect(MemoryLayout<LedgerHash>.size == 32)
    }

    @Test("is nothing else")
    func others() {
        let text = LedgerHash(hashing: []).base64
        #expect(LedgerHash([UInt8](repeating: 0, count: 31)) == nil)
        #expect(LedgerHash(hex: String(repeating: "0", count: 63) + "g") == nil)
        #expect(LedgerHash(hex: String(repeating: "0", count: 62)) == nil)
        #expect(LedgerHash(base64: String(text.dropLast())) == nil)
        #expect(LedgerHash(base64: text + "\n") == nil)
        // The last digit's two bits that mean nothing: FU= and FV= are the same 32 bytes to who does not look.
        #expect(text.hasSuffix("FU=") && LedgerHash(base64: text.dropLast(2) + "V=") == nil)
    }
}
