/// A text with signatures under it, in the format of c2sp.org/signed-note.
///
///     shop.example/ledger
///     1048576
///     8Zr6…=
///     block 17 ygk3…=
///
///     — shop.example/ledger Zm9v…=
///
/// That a text is a note says nothing yet: ``LedgerKeyring/verify(_:)`` says who signed it.
public struct SignedNote: Sendable {
    /// All of a note, in bytes.
    public static let byteLimit = 1 << 20
    public static let signatureLimit = 100

    /// One line under a note: who says to have signed it, and with which key.
    public struct Signature: Sendable {
        public let name: String
        public let keyID: UInt32
        public let bytes: [UInt8]
    }

    /// What is signed, its last newline included.
    public let text: String
    public let signatures: [Signature]

    /// Reads a note. No signature is looked at further than its form.
    /// - Throws: ``LedgerNoteError/malformed(_:)``, ``LedgerNoteError/tooLarge``.
    public init(utf8 bytes: [UInt8]) throws(LedgerNoteError) { try self.init(bytes[...]) }

    /// Reads a note.
    /// - Throws: ``LedgerNoteError/malformed(_:)``, ``LedgerNoteError/tooLarge``.
    public init(_ text: String) throws(LedgerNoteError) { try self.init(utf8: Array(text.utf8)) }

    init(_ bytes: ArraySlice<UInt8>) throws(LedgerNoteError) {
        guard bytes.count <= SignedNote.byteLimit else { throw .tooLarge }
        guard LedgerText.isPlain(bytes) else {
            throw .malformed("it has bytes that are no UTF-8, or control characters")
        }
        let newline = LedgerText.newline
        guard let end = bytes.indices.dropLast().last(where: { bytes[$0] == newline && bytes[$0 + 1] == newline }),
            let lines = LedgerText.lines(bytes[(end + 2)...])
        else { throw .malformed("an empty line and signatures must follow the text, and a newline end the last one") }
        guard lines.count <= SignedNote.signatureLimit else { throw .tooLarge }
        text = String(decoding: bytes[...end], as: UTF8.self)
        var signatures: [Signature] = []
        for line in lines { signatures.append(try Signature(line)) }
        self.signatures = signatures
    }

    init(text: String, signatures: [Signature]) {
        self.text = text
        self.signatures = signatures
    }
}

extension SignedNote.Signature {
    static let marker = "— "

    fileprivate init(_ line: ArraySlice<UInt8>) throws(LedgerNoteError) {
        let parts = line.dropFirst(SignedNote.Signature.marker.utf8.count)
            .split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard line.starts(with: SignedNote.Signature.marker.utf8), parts.count == 2,
            let signature = LedgerText.base64Decoded(parts[1]), signature.count > 4
        else { throw .malformed("a line under the text is no signature") }
        name = String(decoding: parts[0], as: UTF8.self)
        guard LedgerVerifierKey.isName(name) else { throw .malformed("a signature has no name that a key can have") }
        keyID = signature.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
        bytes = Array(signature.dropFirst(4))
    }

    fileprivate var line: String {
        let signature = withUnsafeBytes(of: keyID.bigEndian) { Array($0) } + bytes
        return "\(SignedNote.Signature.marker)\(name) \(LedgerText.base64(signature))\n"
    }
}

extension SignedNote: CustomStringConvertible {
    /// The note, as it is kept in files.
    public var description: String { text + "\n" + signatures.map(\.line).joined() }
}

// Byte by byte: Swift's strings are equal where they look alike, and a signature is of bytes.
extension SignedNote: Hashable {
    public static func == (left: SignedNote, right: SignedNote) -> Bool {
        left.description.utf8.elementsEqual(right.description.utf8)
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(Array(description.utf8)) }
}

/// Why a text is no note, or not one to be believed.
public enum LedgerNoteError: Error, Sendable, Hashable {
    /// It is no note, or its text is not what was looked for; the message says why.
    case malformed(_ message: String)
    /// It is larger than ``SignedNote/byteLimit``, or has more signatures than ``SignedNote/signatureLimit``.
    case tooLarge
    /// No key that signed it is in the keyring: the names it gives for them.
    case signersUnknown([String])
    /// A key in the keyring is said to have signed it, and has not.
    case signatureWrong(name: String)
    /// It is signed, but by none whose name is the checkpoint's origin.
    case signedByOthers(origin: String)
}

extension LedgerNoteError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .malformed(let message): "this is no such note: \(message)"
        case .tooLarge:
            "the note has more than \(SignedNote.byteLimit) bytes or \(SignedNote.signatureLimit) signatures"
        case .signersUnknown(let names):
            "no signature is of a key that is trusted; it has those of \(names.joined(separator: ", "))"
        case .signatureWrong(let name):
            "the signature of \(name) is wrong: the note was changed, or \(name) never signed it"
        case .signedByOthers(let origin): "the checkpoint is of \(origin), and signed, but not with a key of that name"
        }
    }
}
