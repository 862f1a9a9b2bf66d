public import MillracePostgres

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// Which past of an aggregate is meant.
public enum PointInTime: Sendable, Hashable {
    case now
    /// After the event with this version.
    case version(Int)
    /// With the events that happened up to this moment, as their publishers say (`occurredAt`; unless given, when they
    /// were stored).
    case time(Date)
}

extension EventStore {
    /// The state of an aggregate: the data of its events, merged object into object in version order, as
    /// `millrace.rebuild_aggregate` does it in SQL. nil where the stream has no events by then. One round trip.
    public func rebuild(
        _ stream: StreamID,
        asOf point: PointInTime = .now,
        in session: (any PostgresSession)? = nil
    ) async throws -> JSON? {
        let version: Int32?
        let time: Date?
        switch point {
        case .now: (version, time) = (nil, nil)
        case .version(let number): (version, time) = (Int32(clamping: number), nil)
        case .time(let moment): (version, time) = (nil, moment)
        }
        return try await EventStoreError.translating {
            let rows = try await (session ?? client).query(
                Statements.rebuild,
                [.text(stream.aggregateType), .text(stream.aggregateID), .int4(version), .timestamptz(time)]
            )
            return try rows[0].decode([UInt8]?.self, at: 0).map { JSON(utf8: $0) }
        }
    }
}
