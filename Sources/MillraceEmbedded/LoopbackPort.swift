#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Ports on 127.0.0.1.
enum LoopbackPort {
    /// Whether a server could listen there now.
    static func isFree(_ port: Int) -> Bool {
        bound(to: port) != nil
    }

    /// The first free one of the preferred ones, else whichever the kernel gives.
    static func choose(preferring preferred: [Int]) -> Int? {
        preferred.first(where: isFree) ?? bound(to: 0)
    }

    /// Where to look first for a folder: the same ones each time, outside of the range that the kernel gives to
    /// outgoing connections.
    static func candidates(for folder: String) -> [Int] {
        let start = Int(stableHash(folder) % 8_000)
        return (0..<16).map { 15_432 + (start + $0) % 8_000 }
    }

    private static func bound(to port: Int) -> Int? {
        guard (0...65_535).contains(port) else { return nil }
        #if os(Linux) && !canImport(Musl)
            let kind = Int32(SOCK_STREAM.rawValue)
        #else
            let kind = SOCK_STREAM
        #endif
        let socket = socket(AF_INET, kind, 0)
        guard socket >= 0 else { return nil }
        defer { close(socket) }
        // As PostgreSQL does: a port whose last connections are still winding down is free.
        var on: Int32 = 1
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        return withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { plain in
                // Two sockets may both be bound with SO_REUSEADDR; only one may listen.
                guard bind(socket, plain, length) == 0, listen(socket, 1) == 0, getsockname(socket, plain, &length) == 0
                else { return nil }
                return Int(in_port_t(bigEndian: pointer.pointee.sin_port))
            }
        }
    }
}

/// FNV-1a: the same on every run, unlike Swift's own hashes.
func stableHash(_ text: String) -> UInt64 {
    text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
}
