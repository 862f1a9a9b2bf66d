import Foundation

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// The folder of the server's Unix socket. Not in the data folder: an address holds 107 bytes, and some shared file
/// systems hold no sockets.
enum SocketFolder {
    /// The account's own folder for this data, mode 0700.
    ///
    /// The place under /tmp is open to everyone, so a folder that somebody else made there first is never used.
    static func make(for folder: DataFolder, account: ServerAccount) throws(EmbeddedPostgresError) -> String {
        let usual = "/tmp/millrace-\(account.userID)-\(PrivateFile.hexadecimal(stableHash(folder.path)))"
        if try PrivateFile.makeFolder(usual, owner: account) || PrivateFile.isPrivateFolder(usual, of: account) {
            // PostgreSQL believes a lock file here, too, while its process id answers, be it a zombie's. The folder is this
            // server's alone, and none of its processes lives: the caller holds the server's lock.
            for name in (try? FileManager.default.contentsOfDirectory(atPath: usual)) ?? []
            where name.hasPrefix(".s.PGSQL.") {
                unlink(usual + "/" + name)
            }
            return usual
        }
        let other = usual + "-" + PrivateFile.randomName()
        guard try PrivateFile.makeFolder(other, owner: account) else {
            throw .folderUnusable(folder: other, reason: "it belongs to somebody else")
        }
        return other
    }

    /// Takes the empty folder of a stopped server away.
    static func remove(_ path: String) {
        if path.hasPrefix("/tmp/millrace-") { rmdir(path) }
    }
}
