internal import CLibPQ

#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// Bytes that TLS has decrypted already, so that poll cannot see them.
///
/// libpq does not export their number; OpenSSL's own function is asked, which libpq has loaded into the process.
enum TLSBuffer {
    private typealias Pending = @convention(c) (UnsafeMutableRawPointer) -> Int32

    private static let pending: Pending? = {
        guard let process = dlopen(nil, RTLD_NOW), let symbol = dlsym(process, "SSL_pending") else { return nil }
        return unsafeBitCast(symbol, to: Pending.self)
    }()

    /// What reads on where the number cannot be had: a record of 16 KiB needs at most two more reads of libpq's 8 KiB.
    static let blindReads = 2

    /// Whether reading once more may bring bytes, given how often that was done since poll reported the socket.
    static func mayHoldMore(_ connection: PGConnection, reads: Int) -> Bool {
        if PQsslInUse(connection.pointer) != 0 {
            guard let pending, let ssl = PQsslStruct(connection.pointer, "OpenSSL") else { return reads <= blindReads }
            return pending(ssl) > 0
        }
        return PQgssEncInUse(connection.pointer) != 0 && reads <= blindReads
    }
}
