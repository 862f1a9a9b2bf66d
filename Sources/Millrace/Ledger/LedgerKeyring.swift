/// The keys that are trusted: those that were given, and those that they have endorsed since.
///
///     shop.example/ledger+2f3e8ac1+ATqj…
///
///     millrace ledger key
///     shop.example/ledger+90ba11c7+AXk2…
///
///     — shop.example/ledger Lz6K…=
///
/// A key endorses keys of its own name only. An endorsement by a key that is not trusted changes nothing.
public struct LedgerKeyring: Sendable, Hashable {
    public static let keyLimit = 1_000
    static let endorsementTitle = "millrace ledger key"

    /// In the order in which they came to be trusted.
    public private(set) var keys: [LedgerVerifierKey] = []

    /// These keys and those that they endorse, directly or by others; the notes may come in any order.
    /// - Throws: where an endorsement is none, or a trusted key has not signed what it is said to have signed.
    public init(_ keys: [LedgerVerifierKey], endorsements: [SignedNote] = []) throws(LedgerKeyError) {
        for key in keys { try add(key) }
        try trust(endorsements)
    }

    /// Reads keys, one a line, and behind them endorsements. Empty lines may separate them.
    public init(_ text: String) throws(LedgerKeyError) {
        var rest = text.utf8.split(separator: LedgerText.newline, omittingEmptySubsequences: false)[...]
        while let line = rest.first, !line.elementsEqual(LedgerKeyring.endorsementTitle.utf8) {
            rest.removeFirst()
            if !line.isEmpty { try add(try LedgerVerifierKey(String(decoding: line, as: UTF8.self))) }
        }
        var endorsements: [SignedNote] = []
        while !rest.isEmpty {
            // Title, key and an empty line; signatures up to the next empty line or title.
            let signatures = rest.dropFirst(3).prefix { $0.starts(with: SignedNote.Signature.marker.utf8) }
            let note = rest.prefix(3 + signatures.count)
            do throws(LedgerNoteError) {
                endorsements.append(try SignedNote(utf8: note.flatMap { $0 + [LedgerText.newline] }))
            } catch { throw .badEndorsement(error) }
            rest = rest.dropFirst(note.count).drop { $0.isEmpty }
        }
        try trust(endorsements)
    }

    private mutating func add(_ key: LedgerVerifierKey) throws(LedgerKeyError) {
        if keys.contains(key) { return }
        guard keys.count < LedgerKeyring.keyLimit else { throw .tooMany }
        keys.append(key)
    }

    /// Trusts the keys that are endorsed by trusted ones, until nothing is left to be added.
    /// - Throws: where an endorsement is none, or a trusted key has not signed what it is said to have signed.
    public mutating func trust(_ endorsements: [SignedNote]) throws(LedgerKeyError) {
        var waiting: [(note: SignedNote, key: LedgerVerifierKey)] = []
        for note in endorsements { waiting.append((note, try LedgerKeyring.endorsedKey(note))) }
        while true {
            var left: [(note: SignedNote, key: LedgerVerifierKey)] = []
            for (note, key) in waiting {
                do throws(LedgerNoteError) {
                    let signers = try verify(note)
                    guard signers.contains(where: { LedgerText.areEqual($0.name, key.name) }) else {
                        throw .malformed("no key of \(key.name) has signed it, and keys of other names cannot")
                    }
                } catch .signersUnknown {
                    left.append((note, key))
                    continue
                } catch { throw .badEndorsement(error) }
                try add(key)
            }
            if left.count == waiting.count { return }
            waiting = left
        }
    }

    private static func endorsedKey(_ note: SignedNote) throws(LedgerKeyError) -> LedgerVerifierKey {
        let lines = note.text.utf8.split(separator: LedgerText.newline, omittingEmptySubsequences: false)
        guard lines.count == 3, lines[0].elementsEqual(endorsementTitle.utf8), lines[2].isEmpty else {
            throw .badEndorsement(.malformed("it must have two lines: “\(endorsementTitle)” and a key"))
        }
        return try LedgerVerifierKey(String(decoding: lines[1], as: UTF8.self))
    }

    /// The trusted keys that have signed a note: one or more.
    /// - Throws: ``LedgerNoteError/signersUnknown(_:)``; ``LedgerNoteError/signatureWrong(name:)`` where a signature is said to be of a trusted key
    ///   and is not, whatever the others are.
    public func verify(_ note: SignedNote) throws(LedgerNoteError) -> [LedgerVerifierKey] {
        var signers: [LedgerVerifierKey] = []
        for signature in note.signatures {
            // Two keys of one name and id are possible, for whom a collision of 32 bits is worth it.
            let candidates = keys.filter { $0.isOf(signature) }
            guard !candidates.isEmpty else { continue }
            guard let signer = candidates.first(where: { $0.hasSigned(note.text, signature.bytes) }) else {
                throw .signatureWrong(name: signature.name)
            }
            if !signers.contains(signer) { signers.append(signer) }
        }
        guard !signers.isEmpty else { throw .signersUnknown(note.signatures.map(\.name)) }
        return signers
    }

    /// The checkpoint that a note is, signed by a trusted key whose name is its origin.
    public func checkpoint(_ note: SignedNote) throws(LedgerNoteError) -> LedgerCheckpoint {
        let signers = try verify(note)
        let checkpoint = try LedgerCheckpoint(text: note.text)
        guard signers.contains(where: { LedgerText.areEqual($0.name, checkpoint.origin) }) else {
            throw .signedByOthers(origin: checkpoint.origin)
        }
        return checkpoint
    }
}
