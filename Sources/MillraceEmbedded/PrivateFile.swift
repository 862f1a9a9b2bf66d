import Foundation

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Files and folders that belong to one account and that nobody else may read.
enum PrivateFile {
    /// Puts the contents in place in one step; what was there, a planted symbolic link included, is replaced and never
    /// written through.
    static func write(_ contents: String, to path: String, owner: ServerAccount? = nil) throws(EmbeddedPostgresError) {
        let beside = "\(path).\(randomName())"
        let descriptor = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw unusable(path) }
        defer { close(descriptor) }
        let bytes = Array(contents.utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { writeBytes(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                let error = unusable(path)
                unlink(beside)
                throw error
            }
            written += count
        }
        if let owner, owner.isSwitched, fchown(descriptor, owner.userID, owner.groupID) != 0 {
            let error = unusable(path)
            unlink(beside)
            throw error
        }
        guard rename(beside, path) == 0 else {
            let error = unusable(path)
            unlink(beside)
            throw error
        }
    }

    /// A new folder of the account's, mode 0700. False where there is something of that name already.
    static func makeFolder(_ path: String, owner: ServerAccount) throws(EmbeddedPostgresError) -> Bool {
        guard mkdir(path, 0o700) == 0 else {
            if errno == EEXIST { return false }
            throw unusable(path)
        }
        if owner.isSwitched, lchown(path, owner.userID, owner.groupID) != 0 { throw unusable(path) }
        return true
    }

    /// Whether it is a real folder, the account's, and closed to everyone else.
    static func isPrivateFolder(_ path: String, of account: ServerAccount) -> Bool {
        var status = stat()
        guard lstat(path, &status) == 0 else { return false }
        return status.st_mode & S_IFMT == S_IFDIR && status.st_uid == account.userID && status.st_mode & 0o077 == 0
    }

    /// Who owns what the path leads to, nil where it leads to nothing.
    static func owner(of path: String) -> UInt32? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_uid : nil
    }

    /// 64 random bits in hexadecimal digits.
    static func randomName() -> String {
        hexadecimal(UInt64.random(in: .min ... .max))
    }

    static func hexadecimal(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    private static func unusable(_ path: String) -> EmbeddedPostgresError {
        if errno == ENOSPC || errno == EDQUOT { return .diskFull(folder: path) }
        return .folderUnusable(folder: path, reason: lastSystemError())
    }
}

/// Whether this process may do everything, PostgreSQL excepted.
var isRoot: Bool { geteuid() == 0 }

/// The system's `write`, which `PrivateFile.write` hides.
private func writeBytes(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
