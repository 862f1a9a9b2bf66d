import Foundation
import Synchronization

/// A TCP proxy on 127.0.0.1 in front of a server's Unix socket. It passes everything on, until it is told to cut.
///
/// Two threads a connection, one for each direction, which do nothing but read and write.
final class CuttingProxy: Sendable {
    /// What happens to the next piece of data that it fits, once.
    enum Trap: Sendable {
        /// Half of what comes next, in whichever direction, is passed on; then the connection is cut.
        case halfway
        /// The client of the next COMMIT loses its connection before the server has seen that. The server sees it when the
        /// hold is over, and nobody hears the answer.
        case lateCommit(Hold)
    }

    /// Ends when it is let go, or by itself.
    final class Hold: Sendable {
        private let semaphore = DispatchSemaphore(value: 0)
        private let limit: DispatchTimeInterval
        private let begun = Atomic(false)

        init(milliseconds: Int) { limit = .milliseconds(milliseconds) }

        var hasBegun: Bool { begun.load(ordering: .acquiring) }
        func letGo() { semaphore.signal() }

        fileprivate func wait() {
            begun.store(true, ordering: .releasing)
            _ = semaphore.wait(timeout: .now() + limit)
        }
    }

    /// Both ends of a connection; closed when nobody reads or writes any more.
    private final class Link: Sendable {
        let client: Int32
        let server: Int32

        init(client: Int32, server: Int32) {
            self.client = client
            self.server = server
        }

        deinit {
            Foundation.close(client)
            Foundation.close(server)
        }

        func cut() {
            shutdown(client, Int32(SHUT_RDWR))
            shutdown(server, Int32(SHUT_RDWR))
        }
    }

    private struct State {
        var links: [ObjectIdentifier: Link] = [:]
        var traps: [Trap] = []
        var isSilent = false
        var isClosed = false
    }

    let port: UInt16
    private let listener: Int32
    private let socketPath: String
    private let state = Mutex(State())

    private static let pieceSize = 16 << 10

    /// For the length of the body.
    static func run<Value>(
        inFrontOf socketPath: String,
        _ body: (CuttingProxy) async throws -> Value
    ) async throws -> Value {
        let proxy = try CuttingProxy(socketPath)
        defer { proxy.close() }
        return try await body(proxy)
    }

    private init(_ socketPath: String) throws {
        self.socketPath = socketPath
        (listener, port) = try Socket.listening()
        Thread.detachNewThread { [self] in accept() }
    }

    /// The same database through the proxy, in clear text: it looks for the COMMIT.
    func connectionString(for direct: String) -> String {
        // libpq takes the last word of each keyword.
        direct + " host=127.0.0.1 port=\(port) sslmode=disable gssencmode=disable"
    }

    var connectionCount: Int { state.withLock { $0.links.count } }

    // MARK: Cutting

    /// Cuts every connection, or a part of them.
    /// - Returns: how many.
    @discardableResult
    func cut(_ isChosen: () -> Bool = { true }) -> Int {
        let links = state.withLock { Array($0.links.values) }.filter { _ in isChosen() }
        for link in links { link.cut() }
        return links.count
    }

    func set(_ trap: Trap) { state.withLock { $0.traps.append(trap) } }

    /// From now on nothing arrives any more, and nobody is told: as when a cable is pulled.
    func fallSilent() { state.withLock { $0.isSilent = true } }

    private func close() {
        state.withLock { $0.isClosed = true }
        // Wakes the thread up that accepts.
        shutdown(listener, Int32(SHUT_RDWR))
        cut()
    }

    // MARK: Passing on

    private func accept() {
        while true {
            let client = Socket.accept(on: listener)
            guard !state.withLock({ $0.isClosed }), client >= 0 else {
                if client >= 0 { Foundation.close(client) }
                Foundation.close(listener)
                return
            }
            guard let server = Socket.connected(to: socketPath) else {
                Foundation.close(client)
                continue
            }
            let link = Link(client: client, server: server)
            state.withLock { $0.links[ObjectIdentifier(link)] = link }
            Thread.detachNewThread { [self] in pass(from: link.client, to: link.server, link) }
            Thread.detachNewThread { [self] in pass(from: link.server, to: link.client, link) }
        }
    }

    private func pass(from source: Int32, to target: Int32, _ link: Link) {
        var buffer = [UInt8](repeating: 0, count: CuttingProxy.pieceSize)
        while true {
            let count = buffer.withUnsafeMutableBytes { read(source, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            if state.withLock({ $0.isSilent }) { continue }
            let piece = buffer[..<count]
            switch trap(for: piece, fromClient: source == link.client) {
            case nil:
                if Socket.write(piece, to: target) { continue }
            case .halfway:
                _ = Socket.write(piece[..<(count / 2)], to: target)
            case .lateCommit(let hold):
                shutdown(link.client, Int32(SHUT_RDWR))
                hold.wait()
                _ = Socket.write(piece, to: target)
            }
            break
        }
        link.cut()
        state.withLock { $0.links[ObjectIdentifier(link)] = nil }
    }

    private func trap(for piece: ArraySlice<UInt8>, fromClient: Bool) -> Trap? {
        state.withLock { state in
            let index = state.traps.firstIndex { trap in
                switch trap {
                case .halfway: true
                case .lateCommit: fromClient && piece.contains(CuttingProxy.commit)
                }
            }
            return index.map { state.traps.remove(at: $0) }
        }
    }

    /// To its end: BEGIN says READ COMMITTED.
    private static let commit = Array("COMMIT\0".utf8)
}

/// The few calls that a proxy needs, blocking.
private enum Socket {
    #if os(Linux) && !canImport(Musl)
        private static let stream = Int32(SOCK_STREAM.rawValue)
    #else
        private static let stream = SOCK_STREAM
    #endif

    /// On a free port of 127.0.0.1.
    static func listening() throws -> (Int32, UInt16) {
        let listener = socket(AF_INET, stream, 0)
        guard listener >= 0 else { throw PosixFailure(call: "socket", code: errno) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port: UInt16? = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { plain in
                guard bind(listener, plain, length) == 0, listen(listener, 64) == 0,
                    getsockname(listener, plain, &length) == 0
                else { return nil }
                return UInt16(bigEndian: pointer.pointee.sin_port)
            }
        }
        guard let port else {
            defer { Foundation.close(listener) }
            throw PosixFailure(call: "listen", code: errno)
        }
        closeOnExec(listener)
        return (listener, port)
    }

    static func accept(on listener: Int32) -> Int32 {
        var client: Int32
        repeat { client = Foundation.accept(listener, nil, nil) } while client < 0 && errno == EINTR
        if client >= 0 { closeOnExec(client) }
        return client
    }

    static func connected(to path: String) -> Int32? {
        let server = socket(AF_UNIX, stream, 0)
        guard server >= 0 else { return nil }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let isConnected = withUnsafeMutableBytes(of: &address.sun_path) { place in
            guard path.utf8.count < place.count else { return false }
            place.copyBytes(from: Array(path.utf8))
            return true
        }
        let length = socklen_t(MemoryLayout<sockaddr_un>.size)
        guard isConnected,
            withUnsafePointer(
                to: &address,
                { pointer in
                    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(server, $0, length) == 0 }
                }
            )
        else {
            Foundation.close(server)
            return nil
        }
        closeOnExec(server)
        return server
    }

    /// All of it; false where the other end is gone.
    static func write(_ piece: ArraySlice<UInt8>, to target: Int32) -> Bool {
        var rest = piece
        while !rest.isEmpty {
            // Without the signal that would end the process.
            #if os(Linux)
                let count = rest.withUnsafeBytes { send(target, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            #else
                let count = rest.withUnsafeBytes { send(target, $0.baseAddress, $0.count, 0) }
            #endif
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// Workers that are started meanwhile must not hold a cut connection open.
    private static func closeOnExec(_ socket: Int32) {
        _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
        #if !os(Linux)
            var on: Int32 = 1
            setsockopt(socket, SOL_SOCKET, SO_NOSIGPIPE, &on, socklen_t(MemoryLayout<Int32>.size))
        #endif
    }
}
