import Crypto

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The public half of a ledger's key: what everybody may have who checks it. Ed25519.
///
///     shop.example/ledger+2f3e8ac1+ATqj…
public struct LedgerVerifierKey: Sendable {
    /// Of a name, in bytes.
    public static let nameLimit = 255

    /// The origin of the ledger whose checkpoints it signs.
    public let name: String
    /// Follows from the name and the key.
    public let id: UInt32
    private let bytes: [UInt8]

    /// From its text, as ``description`` gives it.
    public init(_ text: String) throws(LedgerKeyError) {
        let parts = text.utf8.split(separator: UInt8(ascii: "+"), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw .malformed }
        let name = String(decoding: parts[0], as: UTF8.self)
        guard LedgerVerifierKey.isName(name), name.utf8.count <= LedgerVerifierKey.nameLimit else {
            throw .badName(name)
        }
        guard let key = LedgerText.base64Decoded(parts[2]), let algorithm = key.first else { throw .malformed }
        guard algorithm == LedgerVerifierKey.ed25519, key.count == 1 + LedgerVerifierKey.byteCount else {
            throw .unknownAlgorithm
        }
        self.init(checked: name, Array(key.dropFirst()))
        guard parts[1].elementsEqual(LedgerText.hex(id).utf8) else { throw .wrongID }
    }

    init(checked name: String, _ bytes: [UInt8]) {
        self.name = name
        self.bytes = bytes
        let digest = LedgerHash(hashing: Array(name.utf8) + [LedgerText.newline, LedgerVerifierKey.ed25519] + bytes)
        id = digest.bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    static let ed25519: UInt8 = 1
    private static let byteCount = 32

    /// Whether a key may be called that: it has no spaces and no plus, and is not empty.
    static func isName(_ name: String) -> Bool {
        !name.isEmpty
            && name.unicodeScalars.allSatisfy { scalar in
                scalar != "+" && scalar.value >= 0x20 && !scalar.properties.isWhitespace
            }
    }

    func isOf(_ signature: SignedNote.Signature) -> Bool {
        signature.keyID == id && LedgerText.areEqual(signature.name, name)
    }

    func hasSigned(_ text: String, _ signature: [UInt8]) -> Bool {
        guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: bytes) else { return false }
        return key.isValidSignature(signature, for: Array(text.utf8))
    }
}

extension LedgerVerifierKey: CustomStringConvertible {
    /// The text in which keys are given to others.
    public var description: String {
        "\(name)+\(LedgerText.hex(id))+\(LedgerText.base64([LedgerVerifierKey.ed25519] + bytes))"
    }
}

// By its bytes: Swift's strings are equal where they look alike.
extension LedgerVerifierKey: Hashable {
    public static func == (left: LedgerVerifierKey, right: LedgerVerifierKey) -> Bool {
        left.bytes == right.bytes && LedgerText.areEqual(left.name, right.name)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(id)
        hasher.combine(bytes)
    }
}

/// Why a text is no key. None of its text is repeated, for it may be a secret.
public enum LedgerKeyError: Error, Sendable, Hashable {
    /// It has not the form of a key.
    case malformed
    /// Names have no spaces and no plus, and between 1 and ``LedgerVerifierKey/nameLimit`` bytes.
    case badName(String)
    /// It is a key for something else than Ed25519.
    case unknownAlgorithm
    /// The eight digits in its middle are not those of this name and key: it was changed, or cut.
    case wrongID
    /// More keys than ``LedgerKeyring/keyLimit``.
    case tooMany
    /// An endorsement is not good: of a key for another name, or not signed as it says.
    case badEndorsement(LedgerNoteError)
}

extension LedgerKeyError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .malformed:
            "this is no key: one looks like name+2f3e8ac1+ATqj…, a signing key like PRIVATE+KEY+name+2f3e8ac1+ATqj…"
        case .badName(let name):
            "“\(name)” cannot be the name of a key: it has no spaces and no plus, and 1 to \(LedgerVerifierKey.nameLimit) bytes"
        case .unknownAlgorithm: "the key is none for Ed25519"
        case .wrongID: "the key is damaged: its middle part does not follow from the others"
        case .tooMany: "there are more than \(LedgerKeyring.keyLimit) keys"
        case .badEndorsement(let error): "an endorsement of a key is not good: \(error)"
        }
    }
}
