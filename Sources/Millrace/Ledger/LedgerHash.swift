import Crypto

/// A SHA-256 digest: of an event, a node of the tree, a block.
public struct LedgerHash: Sendable, Hashable {
    public static let byteCount = 32

    /// What stands in the place of a hash where there is nothing before.
    public static let zero = LedgerHash()

    // Inline and in the order of the bytes, whatever a word of this machine is.
    private var first: UInt64 = 0
    private var second: UInt64 = 0
    private var third: UInt64 = 0
    private var fourth: UInt64 = 0

    private init() {}

    /// nil unless there are 32 bytes.
    public init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == LedgerHash.byteCount else { return nil }
        self.init()
        withUnsafeMutableBytes(of: &self) { $0.copyBytes(from: bytes) }
    }

    /// nil unless it is the base64 of 32 bytes, padded, as ``base64`` gives it.
    public init?(base64 text: String) {
        guard let bytes = LedgerText.base64Decoded(text.utf8) else { return nil }
        self.init(bytes)
    }

    /// nil unless it is 64 hexadecimal digits, of either case.
    public init?(hex text: String) {
        guard text.utf8.count == 2 * LedgerHash.byteCount else { return nil }
        let digits = text.utf8.compactMap { UInt8(hexDigit: $0) }
        guard digits.count == text.utf8.count else { return nil }
        self.init(stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] })
    }

    public var bytes: [UInt8] { withBytes { Array($0) } }
    public var base64: String { LedgerText.base64(bytes) }
    public var hex: String { LedgerText.hex(bytes) }

    package func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try withUnsafeBytes(of: self, body)
    }
}

extension LedgerHash: CustomStringConvertible {
    public var description: String { hex }
}

extension LedgerHash {
    /// The 32 bytes there.
    package init(copying bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count == LedgerHash.byteCount, "a hash has 32 bytes")
        first = bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)
        second = bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        third = bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
        fourth = bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self)
    }

    /// The digest of the bytes.
    package init(hashing bytes: UnsafeRawBufferPointer) {
        var hash = SHA256()
        hash.update(bufferPointer: bytes)
        self = hash.finalize().withUnsafeBytes { LedgerHash(copying: $0) }
    }

    /// The digest of the bytes.
    package init(hashing bytes: [UInt8]) {
        self = bytes.withUnsafeBytes { LedgerHash(hashing: $0) }
    }

    /// The digest of one byte, which says what kind of thing is hashed, and the bytes behind it.
    init(hashing bytes: UnsafeRawBufferPointer, behind prefix: UInt8) {
        var hash = SHA256()
        withUnsafeBytes(of: prefix) { hash.update(bufferPointer: $0) }
        hash.update(bufferPointer: bytes)
        self = hash.finalize().withUnsafeBytes { LedgerHash(copying: $0) }
    }
}

extension UInt8 {
    fileprivate init?(hexDigit: UInt8) {
        switch hexDigit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self = hexDigit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self = hexDigit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self = hexDigit - UInt8(ascii: "A") + 10
        default: return nil
        }
    }
}
