import MillracePostgres

/// How requests travel to `millrace.append_events` and back: parallel arrays, one element an event.
enum AppendEncoding {
    /// Requests are numbered from 1, in their order. A single event does without arrays.
    static func call(of tickets: [AppenderTicket]) -> PostgresCall {
        if tickets.count == 1, let parameters = tickets[0].scalars {
            return PostgresCall(Statements.appendOne, parameters)
        }
        var arrays = AppendArrays(
            events: tickets.reduce(0) { $0 + $1.request.entries.count },
            expectations: tickets.reduce(0) { $0 + $1.expectations.count }
        )
        for (index, ticket) in tickets.enumerated() { arrays.append(ticket, number: Int32(index + 1)) }
        return PostgresCall(Statements.append, arrays.parameters)
    }

    /// The closed set of the function's column `outcome`.
    private enum Outcome: String {
        case appended, duplicate, conflict
        case partlyRepeated = "partly_repeated"
    }

    /// The columns of ``Statements/append``, in their order.
    private enum Column {
        static let outcome = 1
        static let positions = 2
        static let versions = 3
        static let conflicts = 4
    }

    /// The position of the last event that a batch's requests are stored at. Repeated requests count: they may be repeated
    /// because the first answer was lost, and then nobody has announced them.
    static func lastPosition(in rows: PostgresRows) -> Position? {
        // Positions increase with the requests that were stored now.
        guard let row = rows.last(where: { !$0.isNull(at: Column.positions) }) else { return nil }
        let positions = try? row.decode([Int64].self, at: Column.positions)
        return positions?.last.map { Position($0) }
    }

    static func result(of request: AppendRequest, in row: PostgresRow) throws -> AppendResult {
        let word = try row.decode(String.self, at: Column.outcome)
        guard let outcome = Outcome(rawValue: word) else {
            throw EventStoreError.notMigrated("append_events answered “\(word)”, which this version does not know")
        }
        switch outcome {
        case .conflict:
            let conflicts = JSON(utf8: try row.decode([UInt8].self, at: Column.conflicts))
            throw EventStoreError.versionConflict(try conflicts.decode([Conflict].self).map(\.value))
        case .partlyRepeated:
            throw EventStoreError.partlyRepeated
        case .appended, .duplicate:
            let positions = try row.decode([Int64].self, at: Column.positions)
            let versions = try row.decode([Int32].self, at: Column.versions)
            let stored = zip(request.entries, zip(positions, versions)).map { entry, place in
                AppendResult.Stored(
                    id: entry.event.id,
                    stream: entry.stream,
                    version: Int(place.1),
                    position: Position(place.0)
                )
            }
            return AppendResult(events: stored, wasRepeated: outcome == .duplicate)
        }
    }

    private struct Conflict: Decodable {
        let aggregateType: String
        let aggregateID: String
        let expected: Int32
        let actual: Int

        enum CodingKeys: String, CodingKey {
            case aggregateType = "aggregate_type"
            case aggregateID = "aggregate_id"
            case expected, actual
        }

        var value: VersionConflict {
            VersionConflict(
                stream: StreamID(aggregateType, aggregateID),
                expected: ExpectedVersion(wireValue: expected),
                actual: actual
            )
        }
    }
}

extension AppenderTicket {
    /// The parameters of `millrace.append_event`; nil where the request is more than one event that may expect something of
    /// its own stream.
    fileprivate var scalars: [PostgresValue]? {
        guard request.entries.count == 1, let entry = request.entries.first,
            expectations.isEmpty || expectations.count == 1 && expectations[0].stream == entry.stream
        else { return nil }
        let event = entry.event
        return [
            .text(event.type), .text(entry.stream.aggregateType), .text(entry.stream.aggregateID),
            .jsonb(event.data.utf8),
            .jsonb(event.metadata?.utf8), .uuid(event.id), .timestamptz(event.occurredAt), .bytea(event.payload?.bytes),
            .text(event.payload?.contentType), .int4(expectations.first?.version),
        ]
    }
}

/// The arrays of `millrace.append_events`, one element an event, filled in one pass over the requests.
private struct AppendArrays {
    private var numbers: PostgresArrayBuilder
    private var types: PostgresArrayBuilder
    private var aggregateTypes: PostgresArrayBuilder
    private var aggregateIDs: PostgresArrayBuilder
    private var data: PostgresArrayBuilder
    private var metadata: PostgresArrayBuilder
    private var ids: PostgresArrayBuilder
    private var occurredAt: PostgresArrayBuilder
    private var payloads: PostgresArrayBuilder
    private var contentTypes: PostgresArrayBuilder
    private var expectedIn: PostgresArrayBuilder
    private var expectedTypes: PostgresArrayBuilder
    private var expectedIDs: PostgresArrayBuilder
    private var expectedVersions: PostgresArrayBuilder

    init(events: Int, expectations: Int) {
        numbers = PostgresArrayBuilder(of: .int4, count: events, elementBytes: 4)
        types = PostgresArrayBuilder(of: .text, count: events, elementBytes: 16)
        aggregateTypes = PostgresArrayBuilder(of: .text, count: events, elementBytes: 16)
        aggregateIDs = PostgresArrayBuilder(of: .text, count: events, elementBytes: 24)
        data = PostgresArrayBuilder(of: .jsonb, count: events, elementBytes: 256)
        ids = PostgresArrayBuilder(of: .uuid, count: events, elementBytes: 16)
        // Seldom used, or only by some: they are NULL as long as all their elements are.
        metadata = PostgresArrayBuilder(of: .jsonb, count: events)
        occurredAt = PostgresArrayBuilder(of: .timestamptz, count: events)
        payloads = PostgresArrayBuilder(of: .bytea, count: events)
        contentTypes = PostgresArrayBuilder(of: .text, count: events)
        expectedIn = PostgresArrayBuilder(of: .int4, count: expectations, elementBytes: 4)
        expectedTypes = PostgresArrayBuilder(of: .text, count: expectations, elementBytes: 16)
        expectedIDs = PostgresArrayBuilder(of: .text, count: expectations, elementBytes: 24)
        expectedVersions = PostgresArrayBuilder(of: .int4, count: expectations, elementBytes: 4)
    }

    mutating func append(_ ticket: AppenderTicket, number: Int32) {
        for entry in ticket.request.entries {
            numbers.append(number)
            types.append(entry.event.type)
            aggregateTypes.append(entry.stream.aggregateType)
            aggregateIDs.append(entry.stream.aggregateID)
            data.append(entry.event.data.utf8)
            ids.append(entry.event.id)
            metadata.append(entry.event.metadata?.utf8)
            occurredAt.append(entry.event.occurredAt)
            payloads.append(entry.event.payload?.bytes)
            contentTypes.append(entry.event.payload?.contentType)
        }
        for expectation in ticket.expectations {
            expectedIn.append(number)
            expectedTypes.append(expectation.stream.aggregateType)
            expectedIDs.append(expectation.stream.aggregateID)
            expectedVersions.append(expectation.version)
        }
    }

    var parameters: [PostgresValue] {
        [
            numbers.value, types.value, aggregateTypes.value, aggregateIDs.value, data.value,
            metadata.valueUnlessAllNull,
            ids.value, occurredAt.valueUnlessAllNull, payloads.valueUnlessAllNull, contentTypes.valueUnlessAllNull,
            expectedIn.value, expectedTypes.value, expectedIDs.value, expectedVersions.value,
        ]
    }
}
