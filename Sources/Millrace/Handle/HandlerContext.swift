public import Logging
public import MillracePostgres
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What a handler is given with an event, for as long as it handles it.
public struct HandlerContext: Sendable {
    /// The transaction in which the checkpoint moves: what is written here has its effect exactly once. Other events of the lane share it.
    /// It must not be used after the handler has returned.
    public let transaction: PostgresTransaction
    public let store: EventStore
    public let handler: String
    public let lane: Int
    /// How often the event has been handled, this time included; a batch handler's counts for each of its events.
    public let attempt: Int
    let baseLogger: Logger
    var event: RecordedEvent?
    let replay: Int64?
    let publishing: Publishing

    /// Whether events were appended in the transaction, so that subscribers are told after its commit.
    final class Publishing: Sendable {
        let hasAppended = Atomic(false)
    }

    /// Names the handler and the event, with its correlation and trace, in every line; made when it is asked for.
    public var logger: Logger {
        var logger = baseLogger
        guard let event else { return logger }
        for (key, value) in HandlerContext.details(event, handler, lane, attempt) { logger[metadataKey: key] = value }
        return logger
    }

    /// Whether the event is handled once more because an operator asked for it; its checkpoint passed it long ago.
    public var isReplay: Bool { replay != nil }

    /// The same for every attempt at this event by this handler, and for no other: what a receiver elsewhere recognises a repetition by. A
    /// replay, which is meant to be felt, has keys of its own, and so have the further parts of an event that was split. That of the first event
    /// where a batch is handled.
    public var idempotencyKey: String { event.map { idempotencyKey(of: $0) } ?? handler }

    /// That of an event in a batch.
    public func idempotencyKey(of event: RecordedEvent) -> String {
        "\(handler)/\(event.id.uuidString.lowercased())" + (event.part > 0 ? "/part-\(event.part)" : "")
            + (replay.map { "/replay-\($0)" } ?? "")
    }

    /// The same for what a stored event has become.
    func over(_ event: RecordedEvent) -> HandlerContext {
        var context = self
        context.event = event
        return context
    }

    /// The event's metadata: correlation, causation and trace of its publisher.
    public var metadata: EventMetadata { (try? event?.decodeMetadata()) ?? EventMetadata() }

    /// Appends events in the handler's transaction: they are stored with its effects, exactly once.
    ///
    /// Where their metadata does not say otherwise they have the event's id as `causation_id`, its `correlation_id` (or its id, where it has
    /// none) and its `traceparent`.
    @discardableResult
    public func append(
        _ events: [NewEvent],
        to stream: StreamID,
        expecting expected: ExpectedVersion = .any
    ) async throws -> AppendResult {
        publishing.hasAppended.store(true, ordering: .relaxed)
        return try await store.append(events.map(caused), to: stream, expecting: expected, in: transaction)
    }

    /// Appends a typed event; see ``append(_:to:expecting:)-(_,_,_)``.
    @discardableResult
    public func append(
        _ event: some TypedEvent,
        to stream: StreamID,
        expecting expected: ExpectedVersion = .any
    ) async throws -> AppendResult {
        try await append([NewEvent(event)], to: stream, expecting: expected)
    }

    /// Executes a command in the handler's transaction: its events are stored with the handler's other effects, exactly once.
    ///
    /// As ``Aggregate/execute(_:on:in:)``; where their metadata does not say otherwise, the events have causation, correlation and trace as those of
    /// ``append(_:to:expecting:)-(_,_,_)``, and the rest of ``EventMetadata/current``.
    @discardableResult
    public func execute<D: Decider>(
        _ command: D.Command,
        on id: String,
        of aggregate: Aggregate<D>
    ) async throws -> Aggregate<D>.Executed {
        publishing.hasAppended.store(true, ordering: .relaxed)
        let inherited = event.map { cause(of: $0).completed(by: EventMetadata.current) } ?? EventMetadata.current
        return try await EventMetadata.$current.withValue(inherited) {
            try await aggregate.execute(command, on: id, in: transaction)
        }
    }

    /// Executes a command on one aggregate of a decider; see ``execute(_:on:of:)-(_,_,Aggregate<D>)``.
    @discardableResult
    public func execute<D: Decider>(
        _ command: D.Command,
        on id: String,
        of decider: D
    ) async throws -> Aggregate<D>.Executed {
        try await execute(command, on: id, of: store.aggregate(decider))
    }

    /// What log lines about an event carry, under the same keys everywhere.
    static func details(_ event: RecordedEvent, _ handler: String, _ lane: Int, _ attempt: Int) -> Logger.Metadata {
        var details: Logger.Metadata = [
            "handler": "\(handler)", "lane": "\(lane)", "attempt": "\(attempt)",
            "event_id": "\(event.id.uuidString.lowercased())",
            "event_type": "\(event.type)", "stream": "\(event.stream)", "version": "\(event.version)",
            "position": "\(event.position)",
        ]
        if let metadata = try? event.decodeMetadata() {
            details["correlation_id"] = metadata.correlationID.map { "\($0)" }
            details["traceparent"] = metadata.traceparent.map { "\($0)" }
        }
        return details
    }

    /// What an event says of those that come of it.
    private func cause(of event: RecordedEvent) -> EventMetadata {
        let ours = metadata
        let id = event.id.uuidString.lowercased()
        return EventMetadata(
            correlationID: ours.correlationID ?? id,
            causationID: id,
            traceparent: ours.traceparent
        )
    }

    private func caused(_ new: NewEvent) throws -> NewEvent {
        guard let event else { return new }
        let theirs = try new.metadata?.decode(EventMetadata.self) ?? EventMetadata()
        var missing = cause(of: event)
        if theirs.causationID != nil { missing.causationID = nil }
        if theirs.correlationID != nil { missing.correlationID = nil }
        if theirs.traceparent != nil { missing.traceparent = nil }
        var new = new
        new.metadata = try JSON(encoding: missing).joined(with: new.metadata)
        return new
    }
}

extension JSON {
    /// One object with the keys of both, which have none in common; text is joined, so that nothing of either is lost.
    fileprivate func joined(with other: JSON?) -> JSON {
        guard let other, let start = other.utf8.firstIndex(of: UInt8(ascii: "{")) else { return self }
        let rest = other.utf8[(start + 1)...]
        guard let first = rest.first(where: { !" \t\r\n".utf8.contains($0) }), first != UInt8(ascii: "}") else {
            return self
        }
        if utf8.count <= 2 { return other }
        return JSON(utf8: utf8.dropLast() + [UInt8(ascii: ",")] + rest)
    }
}
