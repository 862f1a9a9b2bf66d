import Millrace
import MillracePostgres

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What PostgreSQL does without Millrace: plain statements on the twin of the log, through the same client. They take no locks of
/// streams, check nothing, and are told the versions.
enum BareStatements {
    private static let insert = PostgresStatement.embedded(PackageResources.bench_insert_sql)
    private static let unnest = PostgresStatement.embedded(PackageResources.bench_unnest_sql)
    private static let copy = String(decoding: PackageResources.bench_copy_sql, as: UTF8.self)
    /// Rows that one write of a COPY carries.
    static let copiedAtOnce = 500

    static func insert(_ next: BenchEvents.Next, on session: some PostgresSession) async throws {
        try await session.query(
            insert,
            [
                .uuid(.version7()), .text(next.body.type), .text(next.stream.aggregateType),
                .text(next.stream.aggregateID),
                .int4(Int32(next.version)), .jsonb(next.body.data.utf8), .jsonb(next.body.metadata.utf8),
            ]
        )
    }

    static func unnest(_ events: [BenchEvents.Next], on session: some PostgresSession) async throws {
        try await session.query(
            unnest,
            [
                .uuidArray(events.map { _ in .version7() }), .textArray(events.map(\.body.type)),
                .textArray(events.map(\.stream.aggregateType)), .textArray(events.map(\.stream.aggregateID)),
                .int4Array(events.map { Int32($0.version) }), .jsonbArray(events.map(\.body.data.utf8)),
                .jsonbArray(events.map(\.body.metadata.utf8)),
            ]
        )
    }

    /// One COPY for as long as the clock runs, which is the least a COPY can cost.
    static func copy(
        _ events: inout BenchEvents,
        on connection: PostgresConnection,
        _ clock: inout TurnClock
    ) async throws {
        var rows = events
        var watch = clock
        try await connection.copyIn(copy) { writer in
            var bytes = CopyRows()
            // Once at least: what has no rows has no header either, and is no COPY.
            repeat {
                for _ in 0..<copiedAtOnce { bytes.add(rows.next()) }
                try await writer.write(bytes.take())
                watch.count(events: copiedAtOnce)
            } while watch.isRunning
            try await writer.write(CopyRows.trailer)
        }
        events = rows
        clock = watch
    }
}

/// Rows in the binary form of COPY.
private struct CopyRows {
    static let trailer: [UInt8] = [0xFF, 0xFF]
    private static let header: [UInt8] = Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0] + Array(repeating: 0, count: 8)
    /// Seconds from 1970, where Unix begins to count, to 2000, where PostgreSQL does.
    private static let epoch = 946_684_800.0

    private var bytes = header

    mutating func take() -> [UInt8] {
        defer { bytes.removeAll(keepingCapacity: false) }
        return bytes
    }

    mutating func add(_ next: BenchEvents.Next) {
        let now = Int64((Date().timeIntervalSince1970 - CopyRows.epoch) * 1_000_000)
        append(9 as Int16)
        append(16 as Int32)
        withUnsafeBytes(of: UUID.version7().uuid) { bytes.append(contentsOf: $0) }
        append(next.body.type)
        append(next.stream.aggregateType)
        append(next.stream.aggregateID)
        append(4 as Int32)
        append(Int32(next.version))
        append(next.body.data)
        append(next.body.metadata)
        append(8 as Int32)
        append(now)
        append(8 as Int32)
        append(now)
    }

    private mutating func append(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    private mutating func append(_ text: String) {
        append(Int32(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    private mutating func append(_ json: JSON) {
        append(Int32(json.utf8.count + 1))
        bytes.append(1)
        bytes.append(contentsOf: json.utf8)
    }
}
