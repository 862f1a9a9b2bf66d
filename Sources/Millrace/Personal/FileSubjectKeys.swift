#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Keys in a folder of a local file system, apart from the data: who has the database, or an old copy of it, has none of them.
///
/// For each subject a file, named by a hash of the subject, that lists the ids of its keys; for each key a file of its 32 bytes, and beside it one
/// that says that it was destroyed. All have the mode 0600. Destroying overwrites a key's bytes and removes its file. Safe with several processes,
/// which a lock on the folder keeps apart, and with kills and crashes in between. The folder must be on the machine of every process that
/// seals or opens; back it up apart from the database, and as often: what is sealed with a key that is lost is lost. Where a file system
/// or a disk keeps old blocks (snapshots, copy on write, flash), only that can remove them.
public struct FileSubjectKeys: SubjectKeys {
    private let folder: String

    /// - Parameter folder: made, with the mode 0700, where there is none.
    public init(folder: String) { self.folder = folder }

    public func take(for subjects: [String]) async throws -> [SubjectKeyState] {
        try locked {
            try subjects.map { subject in
                guard let last = try ids(listedFor: subject).last else {
                    return .known(try makeKey(for: subject, after: []))
                }
                guard let state = try state(of: last) else {
                    throw PersonalDataError.keys(
                        "the file of key \(last.uuidString.lowercased()) is missing from \(folder)"
                    )
                }
                return state
            }
        }
    }

    public func read(_ ids: [UUID]) async throws -> [SubjectKeyState?] {
        try ids.map { try state(of: $0) }
    }

    public func ids(of subject: String) async throws -> [UUID] {
        try ids(listedFor: subject)
    }

    public func forget(_ subject: String) async throws -> [UUID] {
        try locked {
            let ids = try ids(listedFor: subject)
            for id in ids { try destroy(id) }
            return ids
        }
    }

    public func renew(_ subject: String) async throws {
        try locked {
            let ids = try ids(listedFor: subject)
            guard let last = ids.last, try state(of: last) == .forgotten else { return }
            _ = try makeKey(for: subject, after: ids)
        }
    }
}

extension FileSubjectKeys {
    // MARK: The files

    private func listPath(_ subject: String) -> String {
        "\(folder)/\(LedgerText.hex(RunningHash.digest(of: Array(subject.utf8)))).subject"
    }

    private func keyPath(_ id: UUID) -> String { "\(folder)/\(id.uuidString.lowercased()).key" }
    private func tombstonePath(_ id: UUID) -> String { "\(folder)/\(id.uuidString.lowercased()).forgotten" }

    private func ids(listedFor subject: String) throws -> [UUID] {
        guard let bytes = try contents(listPath(subject)) else { return [] }
        return try String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { line in
            guard let id = UUID(uuidString: String(line)) else {
                throw PersonalDataError.keys("\(listPath(subject)) is damaged: “\(line)” is no key's id")
            }
            return id
        }
    }

    private func state(of id: UUID) throws -> SubjectKeyState? {
        let bytes = try contents(keyPath(id))
        // After the key: who destroys it says so before he touches it.
        if try contents(tombstonePath(id)) != nil { return .forgotten }
        guard let bytes else { return nil }
        guard bytes.count == SubjectKey.byteCount else {
            throw PersonalDataError.keys(
                "\(keyPath(id)) is damaged: it has \(bytes.count) bytes and not \(SubjectKey.byteCount)"
            )
        }
        return .known(SubjectKey(id: id, bytes: bytes))
    }

    /// The key first: a list never names one that is not there. A key that no list names, because its maker was killed, is nobody's.
    private func makeKey(for subject: String, after ids: [UUID]) throws -> SubjectKey {
        var random = SystemRandomNumberGenerator()
        let bytes = (0..<SubjectKey.byteCount).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        let key = SubjectKey(id: UUID(), bytes: bytes)
        try write(key.bytes, to: keyPath(key.id), flags: O_CREAT | O_EXCL)
        try syncFolder()
        let list = (ids + [key.id]).map { $0.uuidString.lowercased() + "\n" }.joined()
        // Under the lock, so that the name is ours; what a killed one left there is overwritten.
        let draft = listPath(subject) + ".new"
        try write(Array(list.utf8), to: draft, flags: O_CREAT | O_TRUNC)
        guard rename(draft, listPath(subject)) == 0 else { throw failure("rename", draft) }
        try syncFolder()
        return key
    }

    private func destroy(_ id: UUID) throws {
        if try contents(tombstonePath(id)) == nil {
            try write([], to: tombstonePath(id), flags: O_CREAT)
            try syncFolder()
        }
        guard try contents(keyPath(id)) != nil else { return }
        try write([UInt8](repeating: 0, count: SubjectKey.byteCount), to: keyPath(id), flags: 0)
        guard unlink(keyPath(id)) == 0 else { throw failure("remove", keyPath(id)) }
        try syncFolder()
    }
}

extension FileSubjectKeys {
    // MARK: The file system

    /// Whoever changes something excludes the others, in this process and in others; it takes as long as a few writes to the disk.
    private func locked<Value>(_ body: () throws -> Value) throws -> Value {
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw failure("make", folder) }
        let path = "\(folder)/lock"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("open", path) }
        defer { close(descriptor) }
        while flock(descriptor, LOCK_EX) != 0 {
            guard errno == EINTR else { throw failure("lock", path) }
        }
        return try body()
    }

    /// nil where there is no such file.
    private func contents(_ path: String) throws -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw failure("open", path)
        }
        defer { close(descriptor) }
        var contents: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = readBytes(descriptor, &buffer)
            if count > 0 { contents += buffer[..<count] }
            if count == 0 { return contents }
            if count < 0 && errno != EINTR { throw failure("read", path) }
        }
    }

    /// On the disk when it returns.
    private func write(_ bytes: [UInt8], to path: String, flags: Int32) throws {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC | flags, 0o600)
        guard descriptor >= 0 else { throw failure("make", path) }
        defer { close(descriptor) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { writeBytes(descriptor, $0) }
            if count > 0 { rest = rest.dropFirst(count) }
            if count < 0 && errno != EINTR { throw failure("write", path) }
        }
        guard fsync(descriptor) == 0 else { throw failure("write", path) }
    }

    /// What is made, renamed or removed in a folder is on the disk when the folder is.
    private func syncFolder() throws {
        let descriptor = open(folder, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open", folder) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure("write", folder) }
    }

    private func failure(_ verb: String, _ path: String) -> PersonalDataError {
        let reason = String(cString: strerror(errno))
        return .keys("cannot \(verb) \(path): \(reason)")
    }
}

// Outside of the type, whose methods have these names too.
private func readBytes(_ descriptor: Int32, _ buffer: inout [UInt8]) -> Int { read(descriptor, &buffer, buffer.count) }
private func writeBytes(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
    write(descriptor, bytes.baseAddress, bytes.count)
}
