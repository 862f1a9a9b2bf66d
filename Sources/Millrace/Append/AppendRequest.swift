#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// Events for one or more streams that are stored together or not at all.
///
///     var request = AppendRequest()
///     request.append([debited], to: source, expecting: .exactly(7))
///     request.append([credited], to: target)
///     request.require(.streamExists, of: customer)
///     let result = try await store.append(request)
public struct AppendRequest: Sendable, Hashable {
    public struct Entry: Sendable, Hashable {
        public let stream: StreamID
        public let event: NewEvent
    }

    public private(set) var entries: [Entry] = []
    public private(set) var expectations: [StreamID: ExpectedVersion] = [:]

    public init() {}

    public init(_ events: [NewEvent], to stream: StreamID, expecting expected: ExpectedVersion = .any) {
        append(events, to: stream, expecting: expected)
    }

    /// Adds events behind those already added. A second expectation for the same stream replaces the first;
    /// ``ExpectedVersion/any`` leaves it as it is.
    public mutating func append(_ events: [NewEvent], to stream: StreamID, expecting expected: ExpectedVersion = .any) {
        for event in events { entries.append(Entry(stream: stream, event: event)) }
        require(expected, of: stream)
    }

    /// The same with other events in the places of these.
    func with(_ events: [NewEvent]) -> AppendRequest {
        var request = self
        request.entries = zip(entries, events).map { Entry(stream: $0.stream, event: $1) }
        return request
    }

    /// Requires something of a stream, whether or not the request writes to it.
    public mutating func require(_ expected: ExpectedVersion, of stream: StreamID) {
        if expected != .any { expectations[stream] = expected }
    }
}

/// Where the events of a request were stored.
public struct AppendResult: Sendable, Hashable {
    public struct Stored: Sendable, Hashable {
        public let id: UUID
        public let stream: StreamID
        public let version: Int
        public let position: Position
    }

    /// In the request's order.
    public let events: [Stored]
    /// True where the same events were stored before, by an earlier call or by an attempt of this one whose answer was
    /// lost: nothing was written now, and the versions and positions are the original ones.
    public let wasRepeated: Bool

    /// The last position of the request; positions of one request increase.
    public var lastPosition: Position { events.last?.position ?? .start }

    /// The version a stream has after the request; nil where the request did not write to it.
    public func version(of stream: StreamID) -> Int? { events.last { $0.stream == stream }?.version }
}
