import Dispatch
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Where an import's lines come from: a file, or standard input.
struct ImportInput: Sendable {
    static let pieceSize = 256 << 10
    /// How soon a wait for a silent pipe notices that it is not wanted any more.
    static let cancellationBeat: Int32 = 100

    /// As a person calls it.
    let label: String
    /// The file's own name; nil for standard input.
    let fileName: String?
    /// In bytes, where it is known before the end is reached.
    let size: Int64?
    private let descriptor: Int32

    static let standardInput = ImportInput(
        label: "standard input",
        fileName: nil,
        size: regularSize(of: STDIN_FILENO),
        descriptor: STDIN_FILENO
    )

    /// nil and `-` are standard input.
    init(_ path: String?) throws {
        guard let path, path != "-" else {
            self = .standardInput
            return
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw Failure(.badInput, "\(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        self.init(
            label: path,
            fileName: path.split(separator: "/").last.map(String.init) ?? path,
            size: ImportInput.regularSize(of: descriptor),
            descriptor: descriptor
        )
    }

    private init(label: String, fileName: String?, size: Int64?, descriptor: Int32) {
        self.label = label
        self.fileName = fileName
        self.size = size
        self.descriptor = descriptor
    }

    var isTerminal: Bool { isatty(descriptor) == 1 }

    func close() {
        if descriptor != STDIN_FILENO { _ = unistdClose(descriptor) }
    }

    /// The next piece; empty at the end. Waits on a thread of its own, and no longer than the task lives.
    func read() async throws -> [UInt8] {
        let isCancelled = Flag()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                ImportInput.queue.async {
                    continuation.resume(with: Result { try blockingRead(isCancelled) })
                }
            }
        } onCancel: {
            isCancelled.raised.store(true, ordering: .relaxed)
        }
    }

    private func blockingRead(_ isCancelled: Flag) throws -> [UInt8] {
        while true {
            if isCancelled.raised.load(ordering: .relaxed) { throw CancellationError() }
            var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&watched, 1, ImportInput.cancellationBeat)
            if ready == 0 || (ready < 0 && errno == EINTR) { continue }
            var count = 0
            let piece = [UInt8](unsafeUninitializedCapacity: ImportInput.pieceSize) { buffer, initialized in
                count = unistdRead(descriptor, buffer.baseAddress, buffer.count)
                initialized = max(0, count)
            }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else {
                throw Failure(.badInput, "\(label) cannot be read: \(String(cString: strerror(errno)))")
            }
            return piece
        }
    }

    private static let queue = DispatchQueue(label: "millrace.import.input")

    private final class Flag: Sendable {
        let raised = Atomic(false)
    }

    private static func regularSize(of descriptor: Int32) -> Int64? {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return Int64(status.st_size)
    }
}

// Named apart, because inside a type with methods of these names the C functions are not found.
private func unistdRead(_ descriptor: Int32, _ bytes: UnsafeMutableRawPointer?, _ count: Int) -> Int {
    read(descriptor, bytes, count)
}

private func unistdClose(_ descriptor: Int32) -> Int32 { close(descriptor) }
