import MillracePostgres

/// Whose signatures count.
struct LedgerVerificationKeys: Sendable {
    let ring: LedgerKeyring
    let numbered: [Int: LedgerVerifierKey]
    let findings: [LedgerFinding]

    static func read(_ trusted: LedgerKeyring?, _ reader: LedgerVerificationReader) async throws
        -> LedgerVerificationKeys
    {
        var findings: [LedgerFinding] = []
        var stored: [(number: Int, key: LedgerVerifierKey)] = []
        var ring = trusted
        for row in try await reader.rows(LedgerVerificationReader.keys) {
            let number = Int(try row.decode(Int32.self, at: 0))
            do {
                let key = try LedgerVerifierKey(try row.decode(String.self, at: 1))
                stored.append((number, key))
                if ring == nil { ring = try LedgerKeyring([key]) }
                if let note = try row.decode(String?.self, at: 2) { try ring?.trust([try SignedNote(note)]) }
            } catch let error where error is LedgerKeyError || error is LedgerNoteError {
                findings.append(
                    LedgerFinding(.badSignature, parts: ["key"], "key \(number) cannot be trusted: \(error)")
                )
            }
        }
        guard let ring else { throw LedgerVerificationError.badKeys(.malformed) }
        var numbered: [Int: LedgerVerifierKey] = [:]
        for (number, key) in stored where ring.keys.contains(key) { numbered[number] = key }
        return LedgerVerificationKeys(ring: ring, numbered: numbered, findings: findings)
    }
}
