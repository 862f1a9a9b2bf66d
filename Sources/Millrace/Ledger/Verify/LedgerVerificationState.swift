/// How far a verification is and what it has found, to go on from there another day. Belongs to one ledger and one set of options.
public struct LedgerVerificationState: Sendable, Codable {
    static let form = 1

    struct ChainCursor: Sendable, Hashable, Codable {
        var aggregateID = ""
        var version = Int32.min
        var position = Int64.min
    }

    var form = LedgerVerificationState.form
    let origin: String
    /// What it began with.
    let since: String?
    var firstBlock: Int
    var firstPosition: Int64
    var firstLeaf: Int
    /// The last block that is verified, in hexadecimal its hash, and the hashes that the next one may name.
    var number: Int
    var blockHash: String?
    var links: [String] = []
    var size: Int
    var position: Int64
    var peaks: [String] = []
    var isLost = false
    var isRootWrong = false
    var findings: LedgerFindings
    var suspects = LedgerSuspects()
    var events = 0
    var blocks = 0
    var chainedTypes: [String] = []
    var areBlocksDone = false
    /// Aggregate types whose chains are verified.
    var typesDone: [String] = []
    /// Within the next type: the last stream that is verified.
    var cursor = ChainCursor()
    var chainedEvents = 0
}
