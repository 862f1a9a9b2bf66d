import Logging
public import MillracePostgres

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What `millrace.load_aggregate` answers: where the stream is, the snapshot, and the first page of what follows it.
struct AggregateRows: Sendable {
    /// Events a round trip at the most.
    static let pageSize = StreamReader.pageSize

    // Where the stream's columns end and the event's begin.
    private static let streamColumns = 4

    /// 0: it has no events.
    let streamVersion: Int
    let snapshot: (version: Int, state: [UInt8], age: Duration)?
    private let rows: PostgresRows

    /// - Parameters:
    ///   - decider: whose snapshot is asked for, and of which shape; nil: none.
    ///   - last: the version to end with.
    static func call(_ stream: StreamID, _ decider: (name: String, shape: Int)?, through last: Int?) -> PostgresCall {
        PostgresCall(
            Statements.loadAggregate,
            [
                .text(stream.aggregateType), .text(stream.aggregateID), .text(decider?.name),
                .int4(decider.map { Int32($0.shape) }), .int4(Int32(pageSize)), .int4(last.map { Int32(clamping: $0) }),
            ]
        )
    }

    init(_ rows: PostgresRows) throws {
        guard let first = rows.first else {
            throw EventStoreError.notMigrated("load_aggregate answered without a row")
        }
        streamVersion = Int(try first.decode(Int32.self, at: 0))
        snapshot =
            if let version = try first.decode(Int32?.self, at: 1) {
                (
                    Int(version), try first.decode([UInt8].self, at: 2),
                    .seconds(try first.decode(Double.self, at: 3))
                )
            } else {
                nil
            }
        self.rows = rows
    }

    var events: some Sequence<Result<RecordedEvent, any Error>> {
        rows.dropFirst().lazy.map { row in
            Result { try RecordedEvent(row, firstColumn: AggregateRows.streamColumns) }
        }
    }
}

extension Aggregate {
    /// A state that grows event by event.
    private struct Fold {
        var state: D.State
        /// Of the last event that is in the state.
        var version: Int
        /// Of the last event that was read.
        var read: Int
        var base: SnapshotBase
    }

    /// The state of an aggregate: the decider's initial one where it has no events.
    ///
    /// One round trip for the snapshot and up to ``StreamReader/pageSize`` events that follow it, and one for as many events more; one
    /// for a snapshot that is due, though not in a session of yours.
    /// - Parameter point: as of a version, the newest snapshot up to it is used; as of a time, none is.
    /// - Throws: ``AggregateError``, ``EventStoreError``.
    public func load(
        _ id: String,
        asOf point: PointInTime = .now,
        in session: (any PostgresSession)? = nil
    ) async throws -> Loaded {
        let stream = stream(id)
        let loaded = try await load(stream, asOf: point, in: session)
        guard point == .now, session == nil else { return loaded }
        let base = await keep(loaded.state, loaded.version, of: stream, on: loaded.base)
        return Loaded(state: loaded.state, version: loaded.version, base: base)
    }

    /// Takes no snapshot.
    /// - Parameter locked: whether the stream is locked first, in the same round trip.
    func load(
        _ stream: StreamID,
        asOf point: PointInTime = .now,
        in session: (any PostgresSession)?,
        locked: Bool = false
    ) async throws -> Loaded {
        let begin = ContinuousClock.now
        let (last, moment): (Int?, Date?) =
            switch point {
            case .now: (nil, nil)
            case .version(let version): (version, nil)
            case .time(let moment): (nil, moment)
            }
        // Events need not have happened in the order of their versions, so a snapshot may hold some that had not happened yet.
        let decider = moment == nil ? snapshots.map { (name: $0.decider, shape: $0.policy.shape) } : nil
        let lock = locked ? [EventStore.lockCall([stream])] : []
        var rows = try await rows(lock + [AggregateRows.call(stream, decider, through: last)], session)
        var fold = Fold(state: self.decider.initialState, version: 0, read: 0, base: SnapshotBase())
        if let snapshot = rows.snapshot, !take(snapshot, of: stream, &fold) {
            rows = try await self.rows([AggregateRows.call(stream, nil, through: last)], session)
        }
        for event in try await opened(rows.events.map { try $0.get() }) { try add(event, upTo: moment, &fold) }
        let end = min(rows.streamVersion, last ?? rows.streamVersion)
        while fold.read < end {
            try Task.checkCancellation()
            let page = try await store.readStreamPage(
                stream,
                from: fold.read + 1,
                through: end,
                direction: .forwards,
                limit: AggregateRows.pageSize,
                in: session
            )
            if page.isEmpty { break }
            for event in try await opened(page) { try add(event, upTo: moment, &fold) }
        }
        fold.base.loaded = begin
        return Loaded(state: fold.state, version: fold.version, base: fold.base)
    }

    private func opened(_ events: [RecordedEvent]) async throws -> [RecordedEvent] {
        try await store.vault?.openAll(events) ?? events
    }

    private func rows(_ calls: [PostgresCall], _ session: (any PostgresSession)?) async throws -> AggregateRows {
        try await EventStoreError.translating {
            let results = try await (session ?? store.client).pipeline(calls)
            return try AggregateRows(results[results.count - 1])
        }
    }

    /// - Returns: false where it cannot be decoded.
    private func take(
        _ snapshot: (version: Int, state: [UInt8], age: Duration),
        of stream: StreamID,
        _ fold: inout Fold
    ) -> Bool {
        guard let snapshots else { return false }
        do {
            fold.state = try snapshots.decode(snapshot.state)
        } catch {
            store.logger.warning(
                "a snapshot cannot be decoded and is passed over",
                metadata: ["stream": "\(stream)", "version": "\(snapshot.version)", "error": "\(error)"]
            )
            fold.base.isBroken = true
            return false
        }
        fold.version = snapshot.version
        fold.read = snapshot.version
        fold.base = SnapshotBase(version: snapshot.version, age: snapshot.age)
        return true
    }

    private func add(_ event: RecordedEvent, upTo moment: Date?, _ fold: inout Fold) throws {
        fold.read = event.version
        if let moment, event.occurredAt > moment { return }
        fold.version = event.version
        guard store.upcasters.concerns(event) else { return try evolve(&fold.state, event) }
        for lifted in try store.upcasters.lift(event) { try evolve(&fold.state, lifted) }
    }

    private func evolve(_ state: inout D.State, _ event: RecordedEvent) throws {
        let known: D.Event?
        do {
            known = try D.Event.types.event(from: event)
        } catch {
            throw AggregateError.undecodableEvent(
                type: event.type,
                stream: event.stream,
                version: event.version,
                reason: String(describing: error)
            )
        }
        if let known {
            decider.evolve(&state, known)
        } else if unknownEvents == .fail {
            throw AggregateError.unknownEvent(type: event.type, stream: event.stream, version: event.version)
        }
    }
}
