import Testing

@testable import Millrace

/// The key and note of the documentation of Go's golang.org/x/mod/sumdb/note.
private enum Peter {
    static let secret = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
    static let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    static let text = """
        If you think cryptography is the answer to your problem,
        then you don't know what your problem is.

        """
    static let signature = """
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=

        """
    static let note = text + "\n" + signature
    static let enochSignature = """
        — EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=

        """
    static let enoch = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
}

@Suite("A signed note")
struct SignedNoteTests {
    private func keyring(_ keys: String...) throws -> LedgerKeyring {
        try LedgerKeyring(keys.map { key throws(LedgerKeyError) in try LedgerVerifierKey(key) })
    }

    @Test("is what others make of the same key and text")
    func knownNote() throws {
        let signer = try LedgerSigningKey(Peter.secret)
        #expect(signer.verifierKey.description == Peter.key && signer.secretText == Peter.secret)
        let note = try SignedNote(Peter.note)
        #expect(note.description == Peter.note && note.text == Peter.text)
        #expect(try keyring(Peter.key).verify(note) == [signer.verifierKey])
        let ours = try signer.sign(Peter.text)
        #expect(try keyring(Peter.key).verify(ours) == [signer.verifierKey])
        // Apple's signatures of one text differ each time.
        #if canImport(Glibc) || canImport(Musl)
            #expect(ours == note)
        #endif
    }

    @Test("is what its specification has for an example")
    func specification() throws {
        let note = try SignedNote(
            """
            This is an example message.

            — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=

            """
        )
        let key = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
        #expect(try keyring(key).verify(note).map(\.name) == ["example.com/foo"])
    }

    @Test("may have signatures of others, who are passed over where they are not known")
    func severalSignatures() throws {
        let note = try SignedNote(Peter.note + Peter.enochSignature)
        #expect(note.signatures.map(\.name) == ["PeterNeumann", "EnochRoot"])
        #expect(try keyring(Peter.key).verify(note).map(\.name) == ["PeterNeumann"])
        #expect(try keyring(Peter.enoch).verify(note).map(\.name) == ["EnochRoot"])
        #expect(try keyring(Peter.enoch, Peter.key).verify(note).map(\.name) == ["PeterNeumann", "EnochRoot"])
        let twice = try SignedNote(Peter.note + Peter.signature)
        #expect(try keyring(Peter.key).verify(twice).count == 1)
    }

    @Test("is not believed without a good signature, nor with a bad one beside it")
    func badSignatures() throws {
        let stranger = try LedgerSigningKey.generate(name: "PeterNeumann").verifierKey
        #expect(throws: LedgerNoteError.signersUnknown(["PeterNeumann"])) {
            try LedgerKeyring([stranger]).verify(SignedNote(Peter.note))
        }
        #expect(throws: LedgerNoteError.signersUnknown(["PeterNeumann"])) {
            try LedgerKeyring([]).verify(SignedNote(Peter.note))
        }
        let changed = Peter.note.replacing("answer", with: "anSwer") + Peter.enochSignature
        #expect(throws: LedgerNoteError.signatureWrong(name: "PeterNeumann")) {
            try keyring(Peter.key).verify(SignedNote(changed))
        }
        let bad = Peter.note + Peter.enochSignature.replacing("rwz+eBz", with: "rwz+eBA")
        #expect(throws: LedgerNoteError.signatureWrong(name: "EnochRoot")) {
            try keyring(Peter.key, Peter.enoch).verify(SignedNote(bad))
        }
    }

    @Test(
        "has its form and no other",
        arguments: [
            "", "\n", "\n\n", "text\n", "text\n\n", "text\n\nmore\n", Peter.text, Peter.text + Peter.signature,
            Peter.note + "\n", Peter.note + "x\n", String(Peter.note.dropLast()), "\r" + Peter.note,
            Peter.note.replacing("you", with: "y\u{0}u"), Peter.note.replacing("— ", with: "- "),
            Peter.note.replacing("— ", with: "—"), Peter.note.replacing("PeterNeumann", with: "Peter Neumann"),
            Peter.note.replacing("PeterNeumann", with: "Peter+Neumann"),
            Peter.note.replacing("PeterNeumann", with: "Peter\u{2003}Neumann"),
            Peter.note.replacing("PeterNeumann ", with: " "), Peter.note.replacing("nAM=", with: "nAN="),
            Peter.note.replacing("nAM=", with: "nAM"), Peter.text + "\n— PeterNeumann x08gow==\n",
        ]
    )
    func otherForms(text: String) {
        #expect(throws: LedgerNoteError.self) { try SignedNote(text) }
    }

    @Test("is UTF-8, of no more than a limit of bytes and signatures")
    func limits() throws {
        #expect(throws: LedgerNoteError.self) { try SignedNote(utf8: [0xFF] + Array(Peter.note.utf8)) }
        let signatures = String(repeating: Peter.signature, count: SignedNote.signatureLimit)
        #expect(try SignedNote(Peter.text + "\n" + signatures).signatures.count == SignedNote.signatureLimit)
        #expect(throws: LedgerNoteError.tooLarge) { try SignedNote(Peter.note + signatures) }
        let room = SignedNote.byteLimit - Peter.note.utf8.count
        #expect(throws: Never.self) { try SignedNote(String(repeating: "x", count: room) + Peter.note) }
        #expect(throws: LedgerNoteError.tooLarge) {
            try SignedNote(String(repeating: "x", count: room + 1) + Peter.note)
        }
        let signer = try LedgerSigningKey(Peter.secret)
        for text in ["", "no newline", "bell\u{7}\n"] {
            #expect(throws: LedgerNoteError.self) { try signer.sign(text) }
        }
        #expect(throws: LedgerNoteError.tooLarge) {
            try signer.sign(String(repeating: "x", count: SignedNote.byteLimit - 1) + "\n")
        }
    }

    @Test("is of its bytes, however they look")
    func looksAlike() throws {
        let signer = try LedgerSigningKey.generate(name: "é.example")
        let note = try signer.sign("x\n").description
        let decomposed = note.replacing("é", with: "e\u{301}")
        #expect(try SignedNote(note) != SignedNote(decomposed))
        #expect(throws: LedgerNoteError.self) {
            try LedgerKeyring([signer.verifierKey]).verify(SignedNote(decomposed))
        }
    }
}

@Suite("A ledger's keys")
struct LedgerKeyTests {
    @Test("are made, written and read")
    func roundTrip() throws {
        let key = try LedgerSigningKey.generate(name: "shop.example/ledger")
        #expect(try LedgerSigningKey(key.secretText).secretText == key.secretText)
        #expect(try LedgerVerifierKey(key.verifierKey.description) == key.verifierKey)
        #expect(try LedgerSigningKey.generate(name: "shop.example/ledger").verifierKey != key.verifierKey)
    }

    @Test("do not show their secret")
    func secrecy() throws {
        let key = try LedgerSigningKey(Peter.secret)
        var dumped = ""
        dump(key, to: &dumped)
        let seed = try #require(Peter.secret.split(separator: "+").last)
        for text in ["\(key)", String(reflecting: key), dumped, "\([key])", "\(String(describing: Optional(key)))"] {
            #expect(!text.contains(seed) && text.contains("PeterNeumann"))
        }
    }

    @Test(
        "have names that notes can have",
        arguments: ["", "a b", "a+b", "a\tb", "a\u{A0}b", "a\nb", String(repeating: "n", count: 256)]
    )
    func names(name: String) {
        #expect(throws: LedgerKeyError.badName(name)) { try LedgerSigningKey.generate(name: name) }
    }

    @Test(
        "are refused where they are damaged, without being repeated",
        arguments: [
            ("", LedgerKeyError.malformed), ("x", .malformed), ("a+b", .malformed),
            (Peter.key + "x", .malformed), (Peter.key + "\n", .malformed),
            (Peter.key.replacing("c74f20a3", with: "c74f20a4"), .wrongID),
            (Peter.key.replacing("c74f20a3", with: "C74F20A3"), .wrongID),
            (Peter.key.replacing("PeterNeumann", with: "PeterNewmann"), .wrongID),
            (Peter.key.replacing("ARpc", with: "ARpd"), .wrongID),
            (Peter.key.replacing("ARpc", with: "BBpc"), .unknownAlgorithm), ("a+00000000+AQ==", .unknownAlgorithm),
            (Peter.key.replacing("PeterNeumann", with: "Peter Neumann"), .badName("Peter Neumann")),
            (Peter.secret, .malformed),
        ]
    )
    func damagedKeys(text: String, error: LedgerKeyError) {
        #expect(throws: error) { try LedgerVerifierKey(text) }
    }

    @Test("are refused where they are damaged, secret as they are")
    func damagedSecrets() {
        for (text, error) in [
            (Peter.key, LedgerKeyError.malformed), ("PRIVATE+KEY+", .malformed),
            (Peter.secret.replacing("c74f20a3", with: "c74f20a4"), .wrongID),
            (Peter.secret.replacing("AYEK", with: "AYEL"), .wrongID),
            (Peter.secret.replacing("AYEK", with: "BBEK"), .unknownAlgorithm),
            (String(Peter.secret.dropLast(4)), .unknownAlgorithm),
        ] {
            #expect(throws: error) { try LedgerSigningKey(text) }
            #expect(!"\(error)".contains("AYEK"))
        }
    }
}

@Suite("A ledger's keyring")
struct LedgerKeyringTests {
    private let name = "shop.example/ledger"

    private func keys(_ count: Int) throws -> [LedgerSigningKey] {
        try (0..<count).map { _ in try LedgerSigningKey.generate(name: name) }
    }

    @Test("grows by endorsements of endorsed keys, whatever their order")
    func transitive() throws {
        let keys = try keys(4)
        let notes = try (0..<3).map { try keys[$0].endorse(keys[$0 + 1].verifierKey) }
        for order in [notes, notes.reversed(), [notes[1], notes[2], notes[0]]] {
            let ring = try LedgerKeyring([keys[0].verifierKey], endorsements: order)
            #expect(ring.keys == keys.map(\.verifierKey))
        }
        let cut = try LedgerKeyring([keys[0].verifierKey], endorsements: [notes[0], notes[2]])
        #expect(cut.keys == keys[..<2].map(\.verifierKey))
        let circle = try notes + [keys[3].endorse(keys[0].verifierKey)]
        #expect(try LedgerKeyring([keys[2].verifierKey], endorsements: circle).keys.count == 4)
    }

    @Test("is read from a text of keys and endorsements")
    func text() throws {
        let keys = try keys(3)
        let other = try LedgerSigningKey.generate(name: "other").verifierKey
        let notes = try (0..<2).map { try keys[$0].endorse(keys[$0 + 1].verifierKey) }
        for separator in ["", "\n", "\n\n"] {
            let text = "\(other)\n\(keys[0].verifierKey)\n" + separator + notes.map { "\($0)\(separator)" }.joined()
            #expect(try LedgerKeyring(text).keys == [other] + keys.map(\.verifierKey))
        }
        #expect(try LedgerKeyring("\(other)").keys == [other])
        #expect(try LedgerKeyring("").keys.isEmpty)
        #expect(throws: LedgerKeyError.malformed) { try LedgerKeyring("\(other)\nx\n") }
        #expect(throws: LedgerKeyError.self) { try LedgerKeyring("\(keys[0].verifierKey)\n\n\(notes[0])x\n") }
        #expect(throws: LedgerKeyError.self) { try LedgerKeyring("\(keys[0].verifierKey)\n\nmillrace ledger key\n") }
    }

    @Test("takes no key of another name, none that was not signed, and none that is no key")
    func badEndorsements() throws {
        let keys = try keys(2)
        let other = try LedgerSigningKey.generate(name: "other")
        #expect(throws: LedgerNoteError.self) { try keys[0].endorse(other.verifierKey) }
        let forged = try other.sign("millrace ledger key\n\(keys[1].verifierKey)\n")
        #expect(throws: LedgerKeyError.self) {
            try LedgerKeyring([keys[0].verifierKey, other.verifierKey], endorsements: [forged])
        }
        #expect(try LedgerKeyring([keys[0].verifierKey], endorsements: [forged]).keys.count == 1)
        let good = try keys[0].endorse(keys[1].verifierKey).description
        let third = try LedgerSigningKey.generate(name: name).verifierKey
        let changed = try SignedNote(good.replacing(keys[1].verifierKey.description, with: third.description))
        #expect(throws: LedgerKeyError.badEndorsement(.signatureWrong(name: name))) {
            try LedgerKeyring([keys[0].verifierKey], endorsements: [changed])
        }
        for text in [
            "millrace ledger key\n", "millrace ledger key\nx\n", "x\n\(third)\n", "millrace ledger key\n\(third)\nx\n",
        ] {
            let note = try keys[0].sign(text)
            #expect(throws: LedgerKeyError.self) { try LedgerKeyring([keys[0].verifierKey], endorsements: [note]) }
        }
    }

    @Test("believes a checkpoint only of the name that signed it")
    func checkpoints() throws {
        let (ours, other) = (try keys(1)[0], try LedgerSigningKey.generate(name: "other"))
        let checkpoint = LedgerCheckpoint(
            origin: name,
            size: 3,
            root: .zero,
            block: 2,
            blockHash: LedgerHash(hashing: [])
        )
        let ring = try LedgerKeyring([ours.verifierKey, other.verifierKey])
        let note = try checkpoint.signed(by: ours)
        #expect(try ring.checkpoint(note) == checkpoint)
        #expect(note.text.hasPrefix("shop.example/ledger\n3\n\(LedgerHash.zero.base64)\nblock 2 47DEQpj8"))
        #expect(throws: LedgerNoteError.signedByOthers(origin: name)) { try checkpoint.signed(by: other) }
        #expect(throws: LedgerNoteError.signedByOthers(origin: name)) { try ring.checkpoint(other.sign(note.text)) }
        #expect(try ring.checkpoint(ours.sign(note.text + "of a later version\n")) == checkpoint)
        for text in [
            "\(name)\n", note.text + "\n", "\n" + note.text, note.text.replacing("\n3\n", with: "\n03\n"),
            note.text.replacing("\n3\n", with: "\n-3\n"), note.text.replacing("\n3\n", with: "\n+3\n"),
            note.text.replacing("block", with: "blocks"), note.text.replacing("block 2", with: "block  2"),
            note.text.replacing("AAA=", with: "AAB="), "\(name)\n3\n\(LedgerHash.zero.base64)\n",
        ] {
            #expect(throws: LedgerNoteError.self, "\(text)") { try ring.checkpoint(ours.sign(text)) }
        }
    }
}
