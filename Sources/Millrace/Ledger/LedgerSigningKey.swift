import Crypto

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The secret half of a ledger's key: what signs its checkpoints. Ed25519.
///
/// Printing it gives the public half; only ``secretText`` has the secret.
public struct LedgerSigningKey: Sendable {
    private static let prefix = "PRIVATE+KEY+"
    private static let seedCount = 32

    public let verifierKey: LedgerVerifierKey
    private let key: Curve25519.Signing.PrivateKey

    private init(checked name: String, _ key: Curve25519.Signing.PrivateKey) {
        self.key = key
        verifierKey = LedgerVerifierKey(checked: name, Array(key.publicKey.rawRepresentation))
    }

    /// A new key from the system's randomness.
    /// - Throws: ``LedgerKeyError/badName(_:)``.
    public static func generate(name: String) throws(LedgerKeyError) -> LedgerSigningKey {
        guard LedgerVerifierKey.isName(name), name.utf8.count <= LedgerVerifierKey.nameLimit else {
            throw .badName(name)
        }
        return LedgerSigningKey(checked: name, Curve25519.Signing.PrivateKey())
    }

    /// From its text, as ``secretText`` gives it.
    public init(_ secretText: String) throws(LedgerKeyError) {
        let utf8 = secretText.utf8
        guard utf8.starts(with: LedgerSigningKey.prefix.utf8) else { throw .malformed }
        let parts = utf8.dropFirst(LedgerSigningKey.prefix.utf8.count)
            .split(separator: UInt8(ascii: "+"), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw .malformed }
        let name = String(decoding: parts[0], as: UTF8.self)
        guard LedgerVerifierKey.isName(name), name.utf8.count <= LedgerVerifierKey.nameLimit else {
            throw .badName(name)
        }
        guard let seed = LedgerText.base64Decoded(parts[2]), let algorithm = seed.first else { throw .malformed }
        guard algorithm == LedgerVerifierKey.ed25519, seed.count == 1 + LedgerSigningKey.seedCount,
            let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: seed.dropFirst())
        else { throw .unknownAlgorithm }
        self.init(checked: name, key)
        guard parts[1].elementsEqual(LedgerText.hex(verifierKey.id).utf8) else { throw .wrongID }
    }

    public var name: String { verifierKey.name }

    /// The whole key. Keep it where only the sealer reads it.
    public var secretText: String {
        let seed = [LedgerVerifierKey.ed25519] + key.rawRepresentation
        return "\(LedgerSigningKey.prefix)\(name)+\(LedgerText.hex(verifierKey.id))+\(LedgerText.base64(seed))"
    }

    /// The text with this key's signature under it.
    /// - Throws: ``LedgerNoteError/malformed(_:)`` where the text cannot be a note's: it ends in a newline and has no other control characters;
    ///   ``LedgerNoteError/tooLarge``.
    public func sign(_ text: String) throws(LedgerNoteError) -> SignedNote {
        guard text.utf8.last == LedgerText.newline, LedgerText.isPlain(text.utf8) else {
            throw .malformed("its text must end in a newline, and have no other control characters")
        }
        guard let bytes = try? key.signature(for: Array(text.utf8)) else {
            throw .malformed("its text could not be signed")
        }
        let signature = SignedNote.Signature(name: name, keyID: verifierKey.id, bytes: Array(bytes))
        let note = SignedNote(text: text, signatures: [signature])
        guard note.description.utf8.count <= SignedNote.byteLimit else { throw .tooLarge }
        return note
    }

    /// The note that says that another key of the same name is as good as this one: put it behind the keys of a ``LedgerKeyring``'s text.
    /// - Throws: ``LedgerNoteError/malformed(_:)`` where the other key has another name.
    public func endorse(_ key: LedgerVerifierKey) throws(LedgerNoteError) -> SignedNote {
        guard LedgerText.areEqual(key.name, name) else {
            throw .malformed("a key of \(name) endorses others of \(name), not of \(key.name)")
        }
        return try sign("\(LedgerKeyring.endorsementTitle)\n\(key)\n")
    }
}

// The secret is in no description, dump or mirror.
extension LedgerSigningKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "signing key of \(verifierKey)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["verifierKey": verifierKey]) }
}
