import Millrace
import MillracePostgres

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What `millrace stats` knows of a store. A part is nil where the role may not see it.
struct StoreFacts: Sendable, Encodable {
    struct Database: Sendable, Encodable {
        let name: String
        let bytes: Int64
        let streamsBytes: Int64
        let streamsHeapBytes: Int64
    }

    struct Partition: Sendable, Encodable {
        let name: String
        let isDefault: Bool
        let bytes: Int64
        let heapBytes: Int64
        let rowsEstimated: Int64?
    }

    /// A number, and whether all of it was counted.
    struct Count: Sendable, Encodable {
        let value: Int64
        let isExact: Bool
    }

    struct EventType: Sendable, Encodable {
        let type: String
        let events: Int64
    }

    struct Events: Sendable, Encodable {
        let count: Count
        /// How many types the counted part has.
        let types: Int64
        let byType: [EventType]
    }

    struct Positions: Sendable, Encodable {
        let first: Int64?
        let last: Int64?
        let latestDrawn: Int64
        let horizon: Int64
        /// Stored, but not readable yet; counted up to a limit.
        let eventsBehind: Int64
    }

    struct ImportedFile: Sendable, Encodable {
        let name: String
        let lines: Int64
        let eventsStored: Int64
        let updatedAt: Date
        let finishedAt: Date?
    }

    let database: Database
    let partitions: [Partition]
    let events: Events?
    let streams: Count?
    let positions: Positions?
    let imports: [ImportedFile]?
    let holders: [HorizonHolder]?

    /// What of a table is read to count its rows: all of it up to this size, beyond it a sample as large.
    static let countedBytes: Int64 = 128 << 20
    static let mostImports = 10
    static let mostHolders = 20
    static let mostBehind: Int64 = 10_000
}

/// A transaction that the horizon waits for.
struct HorizonHolder: Sendable, Encodable {
    let fence: Int64
    let positionsBehind: Int64
    let processID: Int32?
    let preparedTransaction: String?
    let owner: String?
    let application: String?
    let state: String?
    let seconds: Double?
    let query: String?
    let settleWith: String?

    /// “pid 4711 (orders, idle in transaction)”.
    var label: String {
        let who =
            processID.map { "process \($0)" } ?? preparedTransaction.map { "prepared transaction “\($0)”" }
            ?? "a session this role may not see"
        let more = [owner, application.flatMap { $0.isEmpty ? nil : $0 }, processID == nil ? nil : state].compactMap {
            $0
        }
        return more.isEmpty ? who : "\(who) (\(more.joined(separator: ", ")))"
    }

    static func all(_ session: some PostgresSession, limit: Int) async throws -> [HorizonHolder] {
        try await session.query(holders, [.int8(Int64(limit))]).map { row in
            HorizonHolder(
                fence: try row.decode(Int64.self, named: "fence"),
                positionsBehind: try row.decode(Int64.self, named: "positions_behind"),
                processID: try row.decode(Int32?.self, named: "pid"),
                preparedTransaction: try row.decode(String?.self, named: "gid"),
                owner: try row.decode(String?.self, named: "owner"),
                application: try row.decode(String?.self, named: "application_name"),
                state: try row.decode(String?.self, named: "state"),
                seconds: try row.decode(Double?.self, named: "seconds"),
                query: try row.decode(String?.self, named: "query"),
                settleWith: try row.decode(String?.self, named: "settle_with")
            )
        }
    }

    private static let holders = PostgresStatement.embedded(PackageResources.stats_holders_sql)
}

extension PostgresStatement {
    /// A statement from a file of this target, sent once.
    static func embedded(_ bytes: [UInt8]) -> PostgresStatement {
        PostgresStatement(utf8: bytes, prepared: false)
    }
}

extension StoreFacts {
    /// Looks at the store. Eight statements; the tables are read up to ``countedBytes`` each.
    init(_ session: some PostgresSession, topTypes: Int) async throws {
        database = try await StoreFacts.database(session)
        partitions = try await StoreFacts.partitions(session)
        let heap = partitions.reduce(0) { $0 + $1.heapBytes }
        events = try await visible { try await StoreFacts.events(session, heapBytes: heap, top: topTypes) }
        let streamsHeap = database.streamsHeapBytes
        streams = try await visible { try await StoreFacts.streams(session, heapBytes: streamsHeap) }
        positions = try await visible { try await StoreFacts.positions(session) }
        imports = try await visible { try await StoreFacts.imports(session) }
        holders = try await visible { try await HorizonHolder.all(session, limit: StoreFacts.mostHolders) }
    }

    /// How much of a table of this size is read, in percent.
    static func samplePercent(heapBytes: Int64) -> Double {
        heapBytes <= countedBytes ? 100 : 100 * Double(countedBytes) / Double(heapBytes)
    }

    /// What a sample says about the whole.
    static func count(_ sampled: Int64, percent: Double) -> Int64 {
        percent >= 100 ? sampled : Int64((Double(sampled) * 100 / percent).rounded())
    }

    private static func database(_ session: some PostgresSession) async throws -> Database {
        let row = try await session.query(.embedded(PackageResources.stats_database_sql)).single()
        return Database(
            name: try row.decode(String.self, named: "name"),
            bytes: try row.decode(Int64.self, named: "database_bytes"),
            streamsBytes: try row.decode(Int64.self, named: "streams_bytes"),
            streamsHeapBytes: try row.decode(Int64.self, named: "streams_heap_bytes")
        )
    }

    private static func partitions(_ session: some PostgresSession) async throws -> [Partition] {
        try await session.query(.embedded(PackageResources.stats_partitions_sql)).map { row in
            Partition(
                name: try row.decode(String.self, named: "name"),
                isDefault: try row.decode(Bool.self, named: "is_default"),
                bytes: try row.decode(Int64.self, named: "total_bytes"),
                heapBytes: try row.decode(Int64.self, named: "heap_bytes"),
                rowsEstimated: try row.decode(Int64?.self, named: "rows_estimated")
            )
        }
    }

    private static func events(_ session: some PostgresSession, heapBytes: Int64, top: Int) async throws -> Events {
        let percent = samplePercent(heapBytes: heapBytes)
        let rows = try await session.query(
            .embedded(PackageResources.stats_event_types_sql),
            [.float8(percent), .int8(Int64(top))]
        )
        return Events(
            count: Count(
                value: count(try rows.first?.decode(Int64.self, named: "events") ?? 0, percent: percent),
                isExact: percent >= 100
            ),
            types: try rows.first?.decode(Int64.self, named: "types") ?? 0,
            byType: try rows.map { row in
                EventType(
                    type: try row.decode(String.self, named: "event_type"),
                    events: count(try row.decode(Int64.self, named: "count"), percent: percent)
                )
            }
        )
    }

    private static func streams(_ session: some PostgresSession, heapBytes: Int64) async throws -> Count {
        let percent = samplePercent(heapBytes: heapBytes)
        let row = try await session.query(.embedded(PackageResources.stats_streams_sql), [.float8(percent)]).single()
        return Count(value: count(try row.decode(Int64.self, at: 0), percent: percent), isExact: percent >= 100)
    }

    private static func positions(_ session: some PostgresSession) async throws -> Positions {
        let bounds = try await session.query(.embedded(PackageResources.stats_horizon_sql)).single()
        let horizon = try bounds.decode(Int64.self, named: "horizon")
        let ends = try await session.query(
            .embedded(PackageResources.stats_positions_sql),
            [.int8(horizon), .int8(mostBehind)]
        ).single()
        return Positions(
            first: try ends.decode(Int64?.self, named: "first"),
            last: try ends.decode(Int64?.self, named: "last"),
            latestDrawn: try bounds.decode(Int64.self, named: "latest"),
            horizon: horizon,
            eventsBehind: try ends.decode(Int64.self, named: "behind")
        )
    }

    private static func imports(_ session: some PostgresSession) async throws -> [ImportedFile] {
        try await session.query(.embedded(PackageResources.stats_imports_sql), [.int8(Int64(mostImports))]).map { row in
            ImportedFile(
                name: try row.decode(String.self, named: "name"),
                lines: try row.decode(Int64.self, named: "lines"),
                eventsStored: try row.decode(Int64.self, named: "events_stored"),
                updatedAt: try row.decode(Date.self, named: "updated_at"),
                finishedAt: try row.decode(Date?.self, named: "finished_at")
            )
        }
    }
}

/// nil where the role may not see it: the rest is worth showing all the same.
private func visible<Value>(_ body: () async throws -> Value) async throws -> Value? {
    do {
        return try await body()
    } catch let error as PostgresError where error.sqlState == .insufficientPrivilege {
        return nil
    }
}
