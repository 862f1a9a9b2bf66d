#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// The account that the server runs under: this process's own, or for root an unprivileged one.
struct ServerAccount: Sendable, Hashable {
    let name: String
    let userID: UInt32
    let groupID: UInt32
    /// Whether programs have to be started under another account than this process's.
    let isSwitched: Bool

    /// Accounts to run under where root names none, best first.
    static let candidates = ["millrace", "postgres", "nobody"]

    /// The owner of data that is there, else `MILLRACE_PG_ACCOUNT`, else the first candidate this machine knows.
    static func choose(
        ownerOfData owner: UInt32?,
        environment: [String: String]
    ) throws(EmbeddedPostgresError) -> ServerAccount {
        let own = geteuid()
        guard own == 0 else {
            return ServerAccount(
                name: lookUp(own)?.name ?? "\(own)",
                userID: own,
                groupID: getegid(),
                isSwitched: false
            )
        }
        if let owner, owner != 0 {
            guard let account = lookUp(owner) else {
                throw .noAccount("the data belongs to user \(owner), which this machine does not know")
            }
            return account
        }
        if let name = environment["MILLRACE_PG_ACCOUNT"], !name.isEmpty {
            guard let account = lookUp(name), account.userID != 0 else {
                throw .noAccount("MILLRACE_PG_ACCOUNT=\(name) is no unprivileged account of this machine")
            }
            return account
        }
        for name in candidates {
            if let account = lookUp(name), account.userID != 0 { return account }
        }
        throw .noAccount("there is none of \(candidates.joined(separator: ", "))")
    }

    private static func lookUp(_ name: String) -> ServerAccount? {
        read { entry, buffer, size, result in getpwnam_r(name, entry, buffer, size, result) }
    }

    private static func lookUp(_ userID: UInt32) -> ServerAccount? {
        read { entry, buffer, size, result in getpwuid_r(userID, entry, buffer, size, result) }
    }

    private static func read(
        _ call: (
            UnsafeMutablePointer<passwd>, UnsafeMutablePointer<CChar>, Int,
            UnsafeMutablePointer<UnsafeMutablePointer<passwd>?>
        ) -> Int32
    ) -> ServerAccount? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        // Entries of directory services can be long; one that exceeds this counts as unknown.
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 65_536) { buffer in
            guard let base = buffer.baseAddress, call(&entry, base, buffer.count, &found) == 0, found != nil else {
                return nil
            }
            return ServerAccount(
                name: String(cString: entry.pw_name),
                userID: entry.pw_uid,
                groupID: entry.pw_gid,
                isSwitched: entry.pw_uid != geteuid()
            )
        }
    }
}
