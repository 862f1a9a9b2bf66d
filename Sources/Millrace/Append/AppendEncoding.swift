import MillracePostgres

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// How requests travel to `millrace.append_events` and back: parallel arrays, one element an event.
enum AppendEncoding {
    static func parameters(of requests: [AppendRequest]) throws(EventStoreError) -> [PostgresValue] {
        var numbers: [Int32?] = []
        var entries: [AppendRequest.Entry] = []
        var expectedIn: [Int32?] = []
        var expectedStreams: [StreamID] = []
        var expectedVersions: [Int32?] = []
        for (index, request) in requests.enumerated() {
            let number = Int32(index + 1)
            entries += request.entries
            numbers += Array(repeating: number, count: request.entries.count)
            for (stream, expected) in request.expectations {
                guard let wire = try expected.wireValue else { continue }
                expectedIn.append(number)
                expectedStreams.append(stream)
                expectedVersions.append(wire)
            }
        }
        let events = entries.map(\.event)
        return [
            .int4Array(numbers),
            .textArray(events.map(\.type)),
            .textArray(entries.map(\.stream.aggregateType)),
            .textArray(entries.map(\.stream.aggregateID)),
            .jsonbArray(events.map(\.data.utf8)),
            events.contains { $0.metadata != nil } ? .jsonbArray(events.map { $0.metadata?.utf8 }) : .jsonbArray(nil),
            .uuidArray(events.map(\.id)),
            events.contains { $0.occurredAt != nil }
                ? .timestamptzArray(events.map(\.occurredAt)) : .timestamptzArray(nil),
            events.contains { $0.payload != nil } ? .byteaArray(events.map { $0.payload?.bytes }) : .byteaArray(nil),
            events.contains { $0.payload != nil }
                ? .textArray(events.map { $0.payload?.contentType }) : .textArray(nil),
            .int4Array(expectedIn),
            .textArray(expectedStreams.map(\.aggregateType)),
            .textArray(expectedStreams.map(\.aggregateID)),
            .int4Array(expectedVersions),
        ]
    }

    /// The closed set of the function's column `outcome`.
    private enum Outcome: String {
        case appended, duplicate, conflict
        case partlyRepeated = "partly_repeated"
    }

    static func result(of request: AppendRequest, in row: PostgresRow) throws -> AppendResult {
        let word = try row.decode(String.self, named: "outcome")
        guard let outcome = Outcome(rawValue: word) else {
            throw EventStoreError.notMigrated("append_events answered “\(word)”, which this version does not know")
        }
        switch outcome {
        case .conflict:
            let conflicts = JSON(utf8: try row.decode([UInt8].self, named: "conflicts"))
            throw EventStoreError.versionConflict(try conflicts.decode([Conflict].self).map(\.value))
        case .partlyRepeated:
            throw EventStoreError.partlyRepeated
        case .appended, .duplicate:
            let positions = try row.decode([Int64].self, named: "positions")
            let versions = try row.decode([Int32].self, named: "versions")
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
