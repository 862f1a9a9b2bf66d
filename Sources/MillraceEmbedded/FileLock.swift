import Synchronization

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// An advisory lock on a whole file, which the kernel gives back however its holder ends.
///
/// It belongs to the open file, not to the process: two locks within one process exclude each other as well, and a
/// child that inherits the descriptor holds the lock on until it ends too.
package final class FileLock: Sendable {
    package enum Kind: Sendable {
        case shared
        case exclusive
    }

    let descriptor: Int32
    private let isInherited = Atomic(false)

    private init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// The lock, or nil where somebody else holds it in a way that excludes this one.
    package static func take(_ kind: Kind, on path: String) throws(EmbeddedPostgresError) -> FileLock? {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw .folderUnusable(folder: path, reason: lastSystemError())
        }
        let operation = kind == .shared ? LOCK_SH : LOCK_EX
        while flock(descriptor, operation | LOCK_NB) != 0 {
            if errno == EINTR { continue }
            let refused = errno == EWOULDBLOCK
            let reason = lastSystemError()
            close(descriptor)
            if refused { return nil }
            throw .folderUnusable(folder: path, reason: "it cannot be locked: \(reason)")
        }
        return FileLock(descriptor: descriptor)
    }

    /// Waits for the lock until the limit has passed, then returns nil.
    static func wait(_ kind: Kind, on path: String, within limit: Duration) async throws -> FileLock? {
        try await poll(within: limit) { try take(kind, on: path) }
    }

    /// From now on a child holds the lock as well, and keeps it when this object goes.
    func bequeath() {
        isInherited.store(true, ordering: .sequentiallyConsistent)
    }

    deinit {
        // Closing alone would leave the lock to any child of another thread that is between fork and exec.
        if !isInherited.load(ordering: .sequentiallyConsistent) { flock(descriptor, LOCK_UN) }
        close(descriptor)
    }
}

/// What the last failed system call said.
func lastSystemError() -> String {
    String(cString: strerror(errno))
}

/// Asks again in small steps until there is an answer or the limit has passed; nil then.
///
/// The things waited for here (a lock of another process, a line in a file of the server) come without an event.
func poll<Answer>(within limit: Duration, _ ask: () async throws -> Answer?) async throws -> Answer? {
    let clock = ContinuousClock()
    let end = clock.now + limit
    var step = Duration.milliseconds(2)
    while true {
        if let answer = try await ask() { return answer }
        guard clock.now < end else { return nil }
        try await clock.sleep(for: step)
        step = min(step * 2, .milliseconds(10))
    }
}
