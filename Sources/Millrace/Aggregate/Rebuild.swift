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

extension PointInTime {
    /// As the functions of the schema take it: the last version, the last moment.
    var bounds: (version: Int32?, time: Date?) {
        switch self {
        case .now: (nil, nil)
        case .version(let number): (Int32(clamping: number), nil)
        case .time(let moment): (nil, moment)
        }
    }
}

extension EventStore {
    /// The state of an aggregate, as `millrace.rebuild_aggregate` makes it in SQL: with the reducer that is registered for its type, else
    /// the data of its events merged, object into object in version order. nil where the stream has no events by then, or where the
    /// reducer says that there is no state. One round trip.
    ///
    /// Throws ``EventStoreError/postgres(_:)`` with the SQLSTATE `MR018` where this role may not run the reducer or an upcaster, `MR024` where the
    /// reducer failed, and `MR025` where an upcaster did; the message says at which event.
    public func rebuild(
        _ stream: StreamID,
        asOf point: PointInTime = .now,
        in session: (any PostgresSession)? = nil
    ) async throws -> JSON? {
        let bounds = point.bounds
        return try await EventStoreError.translating {
            let rows = try await (session ?? client).query(
                Statements.rebuild,
                [
                    .text(stream.aggregateType), .text(stream.aggregateID), .int4(bounds.version),
                    .timestamptz(bounds.time),
                ]
            )
            return try rows[0].decode([UInt8]?.self, at: 0).map { JSON(utf8: $0) }
        }
    }
}
