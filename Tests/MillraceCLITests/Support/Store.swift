import Foundation
import Millrace
import MillracePostgres
import MillraceTesting
import Testing

/// A migrated database of the test's own, and the program to run on it.
struct CommandTest {
    let client: PostgresClient
    let command: Command
    let folder: Scratch

    static func with(
        migrated: Bool = true,
        durability: TestServer.Durability = .relaxed,
        _ body: (CommandTest) async throws -> Void
    ) async throws {
        try await Scratch.with { folder in
            try await withTestDatabase(migrated: migrated, durability: durability) { client in
                let command = Command(database: client.configuration.connectionString, folder: folder)
                try await body(CommandTest(client: client, command: command, folder: folder))
            }
        }
    }

    func number(_ sql: String, _ parameters: [PostgresValue] = []) async throws -> Int64 {
        try await client.query(PostgresStatement(sql), parameters).single().decode(Int64.self, at: 0)
    }

    func texts(_ sql: String, _ parameters: [PostgresValue] = []) async throws -> [String] {
        try await client.query(PostgresStatement(sql), parameters).map { try $0.decode(String.self, at: 0) }
    }

    var events: Int64 {
        get async throws { try await number("SELECT count(*) FROM millrace.events") }
    }

    /// How many stored events, in the order of their positions, are the ones the lines say, each with the next version of its
    /// stream.
    func eventsEqual(to lines: [String]) async throws -> Int64 {
        try await number(
            """
            SELECT count(*)
            FROM (
                SELECT e.*, row_number() OVER (ORDER BY e.id) AS n,
                       row_number() OVER (PARTITION BY e.aggregate_type, e.aggregate_id ORDER BY e.id) AS place
                FROM millrace.events AS e
            ) AS e
            JOIN unnest($1::jsonb[]) WITH ORDINALITY AS l (line, n) ON l.n = e.n
            WHERE e.event_data = l.line -> 'event_data'
              AND e.event_type = l.line ->> 'event_type'
              AND e.aggregate_type = l.line ->> 'aggregate_type'
              AND e.aggregate_id = l.line ->> 'aggregate_id'
              AND e.version = e.place
              AND e.occurred_at = coalesce((l.line ->> 'occurred_at')::timestamptz, e.created_at)
            """,
            [.jsonbArray(lines.map { Array($0.utf8) })]
        )
    }
}

/// The real data, which lies beside the package where there is any.
enum RealData {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("shared/data").path

    static func path(_ name: String) -> String { "\(folder)/\(name)" }
    static func isPresent(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }
}
