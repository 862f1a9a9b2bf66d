public import MillracePostgres

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// Keys in the table `millrace.subject_keys`, which no role may read but through functions.
///
/// Simple to run, and honest about what it is: who owns the database can read the keys while they are there, and the bytes of a destroyed one stay in
/// the WAL and in backups for as long as those are kept. ``FileSubjectKeys`` keeps keys and data apart.
///
/// A key is made in a transaction of its own, on a connection of `client`: also where the append is in a transaction of yours.
public struct DatabaseSubjectKeys: SubjectKeys {
    private static let takeKeys: PostgresStatement = """
        SELECT subject, key_id, key FROM millrace.take_subject_keys($1)
        """
    private static let readKeys: PostgresStatement =
        "SELECT key_id, key FROM millrace.read_subject_keys($1::text[]::uuid[])"
    private static let listKeys: PostgresStatement = "SELECT key_id FROM millrace.list_subject_keys($1)"
    private static let destroyKeys: PostgresStatement = "SELECT unnest(millrace.destroy_subject_keys($1))"
    private static let renewKey: PostgresStatement = "SELECT millrace.renew_subject_key($1)"
    private static let vacuum = PostgresStatement("VACUUM millrace.subject_keys", prepared: false)

    private let client: PostgresClient

    public init(_ client: PostgresClient) { self.client = client }

    /// One round trip. Needs `millrace_publisher` or `millrace_importer`.
    public func take(for subjects: [String]) async throws -> [SubjectKeyState] {
        try await EventStoreError.translating {
            var taken: [SubjectName: SubjectKeyState] = [:]
            for row in try await client.query(DatabaseSubjectKeys.takeKeys, [.textArray(subjects)]) {
                let (subject, id, bytes) = try row.decode(String.self, UUID.self, [UInt8]?.self)
                taken[SubjectName(text: subject)] = bytes.map { .known(SubjectKey(id: id, bytes: $0)) } ?? .forgotten
            }
            return try subjects.map { subject in
                guard let state = taken[SubjectName(text: subject)] else {
                    throw EventStoreError.notMigrated("take_subject_keys answered without a subject that was asked for")
                }
                return state
            }
        }
    }

    /// One round trip. Needs `millrace_publisher` or `millrace_consumer`.
    public func read(_ ids: [UUID]) async throws -> [SubjectKeyState?] {
        try await EventStoreError.translating {
            var read: [UUID: SubjectKeyState] = [:]
            for row in try await client.query(DatabaseSubjectKeys.readKeys, [.textArray(ids.map(\.uuidString))]) {
                let (id, bytes) = try row.decode(UUID.self, [UInt8]?.self)
                read[id] = bytes.map { .known(SubjectKey(id: id, bytes: $0)) } ?? .forgotten
            }
            return ids.map { read[$0] }
        }
    }

    /// One round trip. Needs `millrace_admin`.
    public func ids(of subject: String) async throws -> [UUID] {
        try await EventStoreError.translating {
            try await client.query(DatabaseSubjectKeys.listKeys, [.text(subject)]).map {
                try $0.decode(UUID.self, at: 0)
            }
        }
    }

    /// Two round trips. Needs `millrace_admin`; the table is vacuumed where the login may (MAINTAIN), so that the place of the key is free to be overwritten.
    public func forget(_ subject: String) async throws -> [UUID] {
        let ids = try await EventStoreError.translating {
            try await client.query(DatabaseSubjectKeys.destroyKeys, [.text(subject)]).map {
                try $0.decode(UUID.self, at: 0)
            }
        }
        // The key is destroyed whether or not its place is free already; autovacuum comes by too.
        _ = try? await client.query(DatabaseSubjectKeys.vacuum)
        return ids
    }

    /// One round trip. Needs `millrace_admin`.
    public func renew(_ subject: String) async throws {
        try await EventStoreError.translating {
            _ = try await client.query(DatabaseSubjectKeys.renewKey, [.text(subject)])
        }
    }
}
