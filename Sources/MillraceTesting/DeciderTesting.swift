public import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What a decider says, without a database: given these events, when this command comes, then those events happen.
///
///     try Account().given(.opened(AccountOpened()), .deposited(Deposited(cents: 100)))
///         .when(.withdraw(cents: 30))
///         .then(.withdrawn(Withdrawn(cents: 30)))
///         .thenState { $0.cents == 70 }
///     try Account().given(.opened(AccountOpened())).when(.withdraw(cents: 30)).thenThrows(Overdrawn.self)
///
/// What does not hold is thrown as ``DeciderMismatch``, which says where it was expected: it needs no testing library, and reads the same in
/// each. Events go through the form in which they are stored, in both directions, and are compared by it, so they
/// need not be `Equatable`, and one that could not be read again is found here.
public struct DeciderScenario<D: Decider>: Sendable {
    /// What came of a command.
    public struct Outcome: Sendable {
        fileprivate let decider: D
        fileprivate let result: Result<[D.Event], any Error>
        fileprivate let state: D.State
    }

    fileprivate let decider: D
    fileprivate let state: D.State
}

/// What was expected of a decider, and what it did.
public struct DeciderMismatch: Error, Sendable, Hashable, CustomStringConvertible {
    public let expectation: String
    public let expected: [String]
    public let actual: [String]
    /// File and line of the expectation.
    public let place: String

    /// The events that differ stand side by side.
    public var description: String {
        var lines = ["\(place): \(expectation)"]
        for index in 0..<max(expected.count, actual.count) {
            let ours = index < expected.count ? expected[index] : "nothing"
            let theirs = index < actual.count ? actual[index] : "nothing"
            if ours == theirs {
                lines.append("  \(index + 1). as expected: \(ours)")
            } else {
                lines.append("  \(index + 1). expected: \(ours)")
                lines.append("     but was:  \(theirs)")
            }
        }
        return lines.joined(separator: "\n")
    }
}

extension Decider {
    /// What has happened so far; without events, nothing.
    /// - Throws: ``DeciderMismatch`` where an event cannot be read as it is stored.
    public func given(
        _ events: Event...,
        fileID: String = #fileID,
        line: Int = #line
    ) throws -> DeciderScenario<Self> {
        try given(events, fileID: fileID, line: line)
    }

    /// What has happened so far.
    /// - Throws: ``DeciderMismatch`` where an event cannot be read as it is stored.
    public func given(
        _ events: [Event],
        fileID: String = #fileID,
        line: Int = #line
    ) throws -> DeciderScenario<Self> {
        var state = initialState
        for event in events { evolve(&state, try StoredForm(event, "\(fileID):\(line)").read) }
        return DeciderScenario(decider: self, state: state)
    }
}

extension DeciderScenario {
    /// A command comes.
    /// - Throws: ``DeciderMismatch`` where a decided event cannot be read as it is stored.
    public func when(
        _ command: D.Command,
        fileID: String = #fileID,
        line: Int = #line
    ) throws -> Outcome {
        let events: [D.Event]
        do {
            events = try decider.decide(command, state)
        } catch {
            return Outcome(decider: decider, result: .failure(error), state: state)
        }
        var state = state
        for event in events { decider.evolve(&state, try StoredForm(event, "\(fileID):\(line)").read) }
        return Outcome(decider: decider, result: .success(events), state: state)
    }
}

extension DeciderScenario.Outcome {
    /// Exactly these events happen, in this order; without events, nothing does.
    /// - Throws: ``DeciderMismatch``.
    @discardableResult
    public func then(_ events: D.Event..., fileID: String = #fileID, line: Int = #line) throws -> Self {
        try then(events, fileID: fileID, line: line)
    }

    /// Exactly these events happen, in this order.
    /// - Throws: ``DeciderMismatch``.
    @discardableResult
    public func then(_ events: [D.Event], fileID: String = #fileID, line: Int = #line) throws -> Self {
        let place = "\(fileID):\(line)"
        let expected = try events.map { try StoredForm($0, place).text }
        let actual: [String] =
            switch result {
            case .success(let events): try events.map { try StoredForm($0, place).text }
            case .failure(let error): ["the command was refused: \(error)"]
            }
        guard expected != actual else { return self }
        let what =
            if case .failure = result {
                "the command was to lead to \(expected.count) event(s), and was refused"
            } else {
                "other events than expected"
            }
        throw DeciderMismatch(expectation: what, expected: expected, actual: actual, place: place)
    }

    /// The command is refused with this error.
    /// - Throws: ``DeciderMismatch``.
    public func thenThrows<Refusal: Error & Equatable>(
        _ refusal: Refusal,
        fileID: String = #fileID,
        line: Int = #line
    ) throws {
        if case .failure(let error as Refusal) = result, error == refusal { return }
        throw mismatch(expected: "\(refusal)", "\(fileID):\(line)")
    }

    /// The command is refused with an error of this type.
    /// - Throws: ``DeciderMismatch``.
    public func thenThrows<Refusal: Error>(
        _ type: Refusal.Type,
        fileID: String = #fileID,
        line: Int = #line
    ) throws {
        if case .failure(_ as Refusal) = result { return }
        throw mismatch(expected: "an error of the type \(type)", "\(fileID):\(line)")
    }

    /// The state afterwards; that before, where the command was refused.
    /// - Throws: ``DeciderMismatch``.
    @discardableResult
    public func thenState(
        _ state: D.State,
        fileID: String = #fileID,
        line: Int = #line
    ) throws -> Self where D.State: Equatable {
        if self.state == state { return self }
        throw DeciderMismatch(
            expectation: "another state than expected",
            expected: ["\(state)"],
            actual: ["\(self.state)"],
            place: "\(fileID):\(line)"
        )
    }

    /// Something holds of the state afterwards.
    /// - Throws: ``DeciderMismatch``; what `holds` throws.
    @discardableResult
    public func thenState(
        fileID: String = #fileID,
        line: Int = #line,
        _ holds: (D.State) throws -> Bool
    ) throws -> Self {
        if try holds(state) { return self }
        throw DeciderMismatch(
            expectation: "the state is not as it should be",
            expected: ["a state of which that holds"],
            actual: ["\(state)"],
            place: "\(fileID):\(line)"
        )
    }

    /// Another command comes, after what this one led to.
    /// - Throws: the error that this one was refused with; ``DeciderMismatch``.
    public func when(_ command: D.Command, fileID: String = #fileID, line: Int = #line) throws -> Self {
        _ = try result.get()
        return try DeciderScenario(decider: decider, state: state).when(command, fileID: fileID, line: line)
    }

    private func mismatch(expected: String, _ place: String) -> DeciderMismatch {
        switch result {
        case .failure(let error):
            DeciderMismatch(
                expectation: "the command was refused with another error",
                expected: [expected],
                actual: ["\(error)"],
                place: place
            )
        case .success(let events):
            DeciderMismatch(
                expectation: "the command was to be refused, and led to \(events.count) event(s)",
                expected: [expected],
                actual: events.isEmpty ? ["no event"] : events.map { "\($0)" },
                place: place
            )
        }
    }
}

/// An event as it is stored, and read again.
private struct StoredForm<Event: DomainEvent> {
    let read: Event
    /// Its type, and its data with sorted keys.
    let text: String

    init(_ event: Event, _ place: String) throws {
        let stored = try NewEvent(event)
        let read: Event?
        do {
            read = try Event.types.event(from: stored)
        } catch {
            throw DeciderMismatch(
                expectation: "an event cannot be read again as it is stored: \(error)",
                expected: ["\(event)"],
                actual: ["\(stored.type) \(stored.data.text)"],
                place: place
            )
        }
        guard let read else {
            throw DeciderMismatch(
                expectation: "an event's type is not registered in \(Event.self).types",
                expected: ["\(event)"],
                actual: ["\(stored.type), which could not be read again"],
                place: place
            )
        }
        self.read = read
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .custom { date, encoder in
            var container = encoder.singleValueContainer()
            try container.encode(date.rfc3339)
        }
        let sorted = String(decoding: try encoder.encode(Sorted(payload: read.payload)), as: UTF8.self)
        text = "\(stored.type) \(sorted)"
    }

    private struct Sorted: Encodable {
        let payload: any TypedEvent
        func encode(to encoder: any Encoder) throws { try payload.encode(to: encoder) }
    }
}
