import Millrace
import MillracePostgres

/// A read model of the tests: a row for each event, which a second time would be refused, and one for each stream.
enum Readings {
    static func projection(version: Int) -> Projection {
        Projection(
            batches: "readings",
            version: version,
            tables: """
                CREATE TABLE readings (position bigint PRIMARY KEY, stream text NOT NULL, version int NOT NULL, code int NOT NULL);
                CREATE TABLE latest (stream text PRIMARY KEY, version int NOT NULL, events bigint NOT NULL)
                """,
            indexes: "CREATE INDEX readings_by_stream ON readings (stream, version)",
            matching: .eventTypes("reading"),
            options: ProjectionOptions(lanes: 8, buildingBatchSize: 200)
        ) { events, context in
            var rows = PostgresCopyRows()
            for event in events {
                rows.append([
                    .int8(event.position.rawValue), .text(event.stream.aggregateID), .int4(Int32(event.version)),
                    .int4(Int32(version)),
                ])
            }
            try await context.copy(rows, into: "readings", columns: ["position", "stream", "version", "code"])
        }.then { events, context in
            try await context.transaction.query(
                """
                INSERT INTO latest
                SELECT e.stream, max(e.version), count(*) FROM unnest($1::text[], $2::int[]) AS e (stream, version) GROUP BY e.stream
                ON CONFLICT (stream) DO UPDATE SET version = excluded.version, events = latest.events + excluded.events
                """,
                [.textArray(events.map(\.stream.aggregateID)), .int4Array(events.map { Int32($0.version) })]
            )
        }
    }
}
