#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// The server's configuration files: ours, written anew at each start, so that a newer Millrace can change them.
struct ServerSettings: Sendable {
    let extra: [String: String]

    static let file = "millrace.conf"
    static let userFile = "user.conf"
    static let accessFile = "pg_hba.conf"

    /// Appended once to the configuration that initdb writes.
    static let includes = """

        # Millrace's settings, written anew at each start; then yours.
        include = '\(file)'
        include_if_exists = '\(userFile)'

        """

    static let userText = """
        # Your own settings for this server; they win over Millrace's. Read at the next start.

        """

    /// A password for everyone, over the Unix socket too.
    static let accessText = """
        # Written anew at each start.
        local  all          all                scram-sha-256
        local  replication  all                scram-sha-256
        host   all          all  127.0.0.1/32  scram-sha-256
        host   replication  all  127.0.0.1/32  scram-sha-256

        """

    var text: String {
        let lines = (Self.own + extra.sorted { $0.key < $1.key }).map { "\($0.0) = '\(Self.quoted($0.1))'" }
        return "# Written anew at each start: put your own settings into \(Self.userFile).\n"
            + lines.joined(separator: "\n") + "\n"
    }

    private static var own: [(String, String)] {
        [
            ("cluster_name", "millrace"),
            ("max_connections", "200"),
            ("shared_buffers", "\(sharedBuffers)MB"),
            // Logical decoding of the publication, and prepared transactions of two-phase publishers.
            ("wal_level", "logical"),
            ("max_prepared_transactions", "64"),
            // A generic plan over many months of partitions locks every one of them.
            ("max_locks_per_transaction", "256"),
            // Publishers that lock streams in different orders otherwise stand still for a whole second.
            ("deadlock_timeout", "200ms"),
            // Whoever idles in an open transaction holds every subscriber back.
            ("idle_in_transaction_session_timeout", "5min"),
            ("max_wal_size", "2GB"),
            // A forgotten replication slot must not fill the disk.
            ("max_slot_wal_keep_size", "4GB"),
            // Not the schema of the user's name as well: that is Millrace's own, and what a migration finds in it and does not know it drops.
            ("search_path", "public"),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
            ("lc_messages", "C"),
            // A week of logs, a file a day of the week.
            ("logging_collector", "on"),
            ("log_directory", "log"),
            ("log_filename", "postgresql-%a.log"),
            ("log_rotation_age", "1d"),
            ("log_truncate_on_rotation", "on"),
            ("log_line_prefix", "%m [%p] %e %q%u@%d %a "),
        ]
    }

    /// 256 MB, or an eighth of the memory where that is less.
    private static var sharedBuffers: Int {
        let bytes = Int(sysconf(Int32(_SC_PHYS_PAGES))) * Int(sysconf(Int32(_SC_PAGESIZE)))
        return max(16, min(256, bytes / 8 / 1_048_576))
    }

    private static func quoted(_ value: String) -> String {
        var result = ""
        for character in value where !character.isNewline {
            result += character == "'" || character == "\\" ? "\(character)\(character)" : String(character)
        }
        return result
    }
}
