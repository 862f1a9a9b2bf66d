import Crypto

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// SHA-256 of what comes piece by piece; a copy goes on by itself.
package struct RunningHash: Sendable {
    private var hash = SHA256()

    package init() {}

    package static func digest(of bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: bytes)) }

    package mutating func update(_ bytes: some Sequence<UInt8>) {
        let wasContiguous: Void? = bytes.withContiguousStorageIfAvailable {
            hash.update(bufferPointer: UnsafeRawBufferPointer($0))
        }
        if wasContiguous == nil { Array(bytes).withUnsafeBytes { hash.update(bufferPointer: $0) } }
    }

    /// Of everything so far; more may follow.
    package func digest() -> [UInt8] { Array(hash.finalize()) }
}
