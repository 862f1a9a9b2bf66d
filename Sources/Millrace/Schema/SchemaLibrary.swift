import MillracePostgres

extension Migrator {
    struct Migration: Sendable {
        let version: Int
        let name: String
        let sql: String
        let checksum: String
    }

    struct AppliedMigration: Sendable {
        let version: Int
        let name: String
        let checksum: String
    }

    /// What this library was built with, and the checksums of it.
    struct Library: Sendable {
        let migrations: [Migration]
        let functionsChecksum: String

        init(_ session: some PostgresSession, scripts: [SchemaScript] = Migrator.migrations) async throws {
            let functions = Migrator.functions.map(\.sql).joined(separator: "\n")
            let checksums = try await session.query(
                Migrator.checksums,
                [.textArray(scripts.map(\.sql) + [functions])]
            ).map { try $0.decode(String.self, at: 0) }
            migrations = zip(scripts, checksums).enumerated().map { index, pair in
                Migration(version: index + 1, name: pair.0.name, sql: pair.0.sql, checksum: pair.1)
            }
            functionsChecksum = checksums[scripts.count]
        }

        /// The migrations that are missing, if what ran is a beginning of what this library has.
        func pending(after applied: [AppliedMigration]) throws(MigrationError) -> ArraySlice<Migration> {
            for (index, ran) in applied.enumerated() {
                guard index < migrations.count else { throw .unknown(name: ran.name) }
                let ours = migrations[index]
                guard ran.version == ours.version else {
                    if ran.version > migrations.count { throw .unknown(name: ran.name) }
                    throw .missing(name: ours.name)
                }
                guard ran.checksum == ours.checksum else { throw .edited(name: ran.name) }
            }
            return migrations.dropFirst(applied.count)
        }
    }
}
