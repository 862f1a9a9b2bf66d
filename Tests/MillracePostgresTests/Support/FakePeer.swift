import Foundation
import Synchronization

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// A TCP listener on loopback that is no PostgreSQL server, or one that breaks off.
final class FakePeer: Sendable {
    enum Behaviour: Sendable {
        /// Accepts and never says a word.
        case silent
        /// Says this as soon as it has heard something, and hangs up.
        case answer([UInt8])
        /// Lets a client and a real server talk, and hangs up once this many bytes have come from the server.
        case cut(afterBytes: Int, serverPort: UInt16)
    }

    let port: UInt16
    private let listener: Int32
    private let accepted = Mutex<[Int32]>([])
    let wasReached = Signal()

    init(_ behaviour: Behaviour) throws {
        listener = socket(AF_INET, FakePeer.stream, 0)
        var address = FakePeer.loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, length) == 0 && listen(descriptor, 16) == 0
                    && getsockname(descriptor, address, &length) == 0
            }
        }
        guard bound else { throw ConditionNotMet(description: "no listener on loopback: errno \(errno)") }
        port = UInt16(bigEndian: address.sin_port)
        Thread.detachNewThread { [self] in serve(behaviour) }
    }

    deinit { stop() }

    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        accepted.withLock { accepted in
            for descriptor in accepted { shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
    }

    private func serve(_ behaviour: Behaviour) {
        while true {
            let client = accept(listener, nil, nil)
            guard client >= 0 else { return }
            accepted.withLock { $0.append(client) }
            wasReached.give()
            switch behaviour {
            case .silent: break
            case .answer(let bytes):
                var request = [UInt8](repeating: 0, count: 1024)
                _ = read(client, &request, request.count)
                _ = write(client, bytes, bytes.count)
                hangUp(client)
            case .cut(let limit, let serverPort):
                relay(client, FakePeer.connect(to: serverPort), limit)
            }
        }
    }

    private func relay(_ client: Int32, _ server: Int32, _ limit: Int) {
        var left = limit
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while left > 0 {
            var sockets = [
                pollfd(fd: client, events: Int16(POLLIN), revents: 0),
                pollfd(fd: server, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&sockets, 2, -1) > 0 else { break }
            if sockets[0].revents != 0 {
                let count = read(client, &buffer, buffer.count)
                guard count > 0, write(server, buffer, count) == count else { break }
            }
            if sockets[1].revents != 0 {
                let count = read(server, &buffer, min(left, buffer.count))
                guard count > 0, write(client, buffer, count) == count else { break }
                left -= count
            }
        }
        hangUp(client)
        close(server)
    }

    /// Its number may be another socket's as soon as it is closed.
    private func hangUp(_ client: Int32) {
        accepted.withLock { accepted in
            accepted.removeAll { $0 == client }
            _ = close(client)
        }
    }

    private static func connect(to port: UInt16) -> Int32 {
        let descriptor = socket(AF_INET, stream, 0)
        var address = loopback(port)
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                #if canImport(Darwin)
                    _ = Darwin.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                #elseif canImport(Musl)
                    _ = Musl.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                #else
                    _ = Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                #endif
            }
        }
        return descriptor
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr = in_addr(s_addr: UInt32(0x7F00_0001).bigEndian)
        return address
    }

    #if canImport(Glibc)
        private static let stream = Int32(SOCK_STREAM.rawValue)
    #else
        private static let stream = SOCK_STREAM
    #endif
}

/// A port of loopback on which nobody listens.
func closedPort() throws -> UInt16 {
    let peer = try FakePeer(.silent)
    defer { peer.stop() }
    return peer.port
}
