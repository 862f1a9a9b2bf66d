/// Why a command was not executed, or an aggregate not loaded, besides what ``EventStoreError`` says and what the decider refuses.
public enum AggregateError: Error, Sendable {
    /// Others were faster, time after time. Nothing was stored. `last` is what the last attempt failed by.
    case conflict(streams: [StreamID], attempts: Int, last: EventStoreError)
    /// The connection was lost while the events were being stored, and appending them again did not settle it in time; or the task was
    /// cancelled meanwhile. They are stored, or they are not. To settle it, append this request with ``EventStore/append(_:in:)``: the
    /// command, executed again, could take effect twice.
    case outcomeUnknown(AppendRequest)
    /// The stream has an event that the decider's ``DomainEvent/types`` do not know.
    case unknownEvent(type: String, stream: StreamID, version: Int)
    /// The stream has an event whose data is not what its type says.
    case undecodableEvent(type: String, stream: StreamID, version: Int, reason: String)
    /// The decider has decided an event that its ``DomainEvent/types`` do not know, so that it could not be read again. Nothing was stored.
    case unregisteredEvent(type: String, stream: StreamID)
    /// Two deciders in one decision want the same stream. Nothing was stored.
    case otherDecider(stream: StreamID)
    /// The decision was used after it had ended.
    case decisionIsOver
}

extension AggregateError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .conflict(let streams, let attempts, let last):
            "given up after \(attempts) attempt(s) on \(streams.map(\.description).joined(separator: ", ")), nothing was stored; the last one: \(last)"
        case .outcomeUnknown(let request):
            "it is unknown whether \(request.entries.count) event(s) of \(request.entries.first.map(\.stream.description) ?? "no stream") were stored: append the same request again to settle it; do not execute the command again"
        case .unknownEvent(let type, let stream, let version):
            "version \(version) of \(stream) is of the type “\(type)”, which is not registered: add it to the event's types, or load with unknownEvents: .skip"
        case .undecodableEvent(let type, let stream, let version, let reason):
            "version \(version) of \(stream) cannot be decoded as “\(type)”: \(reason)"
        case .unregisteredEvent(let type, let stream):
            "an event of the type “\(type)” was decided for \(stream), which is not registered: add it to the event's types; nothing was stored"
        case .otherDecider(let stream):
            "\(stream) belongs to another decider in this decision already; nothing was stored"
        case .decisionIsOver:
            "the decision has ended: load and execute within the closure that it was given to"
        }
    }
}
