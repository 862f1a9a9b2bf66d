#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Stored events with their personal data open, up to the first that cannot be opened.
struct OpenedEvents {
    var events: [RecordedEvent]
    /// Why the one behind them cannot be.
    var failure: PersonalDataError?
}

extension PersonalVault {
    /// The events with what is sealed in them opened, and redacted where it was forgotten. One round trip where keys are not known, for all of them.
    ///
    /// Throws what the keys throw.
    func open(_ events: [RecordedEvent]) async throws -> OpenedEvents {
        let (drafts, states) = try await drafts(of: events)
        if drafts.isEmpty { return OpenedEvents(events: events) }
        var opened = events
        for (index, sealed) in drafts {
            let event = events[index]
            var data = sealed
            do {
                try data.changeEnvelopes { object, path in try PersonalVault.open(object, path, of: event, with: states)
                }
            } catch let error as PersonalDataError {
                return OpenedEvents(events: Array(opened[..<index]), failure: error)
            }
            opened[index] = event.replacing(JSON(data))
        }
        return OpenedEvents(events: opened)
    }

    /// All of them, or the error of the first that cannot be opened.
    func openAll(_ events: [RecordedEvent]) async throws -> [RecordedEvent] {
        let opened = try await open(events)
        if let failure = opened.failure { throw failure }
        return opened.events
    }

    /// As far as they can be; where that is none, the error is thrown.
    func open(_ page: EventPage) async throws -> EventPage {
        let opened = try await open(page.events)
        guard let failure = opened.failure else {
            return page.holding(opened.events, upTo: page.scannedTo, isLast: page.isLast)
        }
        guard let last = opened.events.last else { throw failure }
        // Said when the next page is asked for, which begins with it.
        return page.holding(opened.events, upTo: last.position, isLast: false)
    }

    /// Asks for the keys of events that will be opened one by one. What goes wrong is found again then.
    func prepare(_ events: [RecordedEvent]) async {
        if events.count > 1 { _ = try? await drafts(of: events) }
    }

    /// Those of the events in which something is sealed, and what is known of their keys.
    private func drafts(
        of events: [RecordedEvent]
    ) async throws -> (drafts: [(index: Int, data: JSONValue)], states: [UUID: SubjectKeyState]) {
        var drafts: [(index: Int, data: JSONValue)] = []
        var keyIDs: Set<UUID> = []
        for index in events.indices where events[index].mayHoldEnvelope {
            var data = try JSONValue(events[index].data)
            data.changeEnvelopes { object, _ in
                if let envelope = PersonalEnvelope(object) { keyIDs.insert(envelope.keyID) }
                return .object(object)
            }
            drafts.append((index, data))
        }
        return (drafts, keyIDs.isEmpty ? [:] : try await states(of: keyIDs))
    }

    private static func open(
        _ object: JSONObject,
        _ field: String,
        of event: RecordedEvent,
        with states: [UUID: SubjectKeyState]
    ) throws -> JSONValue {
        func unreadable(_ reason: String) -> PersonalDataError {
            .unreadable(eventID: event.id, position: event.position, stream: event.stream, field: field, reason: reason)
        }
        guard let envelope = PersonalEnvelope(object) else { throw unreadable("it is no envelope") }
        switch states[envelope.keyID] {
        case nil:
            throw unreadable(
                "there never was a key \(envelope.keyID.uuidString.lowercased()) where the keys are looked for"
            )
        case .forgotten: return .redacted
        case .known(let key):
            do {
                return try envelope.opened(with: key, at: PersonalEnvelope.Place(eventID: event.id, field: field))
            } catch {
                throw unreadable("it is not what was sealed for this field of this event")
            }
        }
    }
}

extension EventStore {
    /// As they are stored, where the store has no ``PersonalData``.
    func opened(_ events: [RecordedEvent]) async throws -> OpenedEvents {
        try await vault?.open(events) ?? OpenedEvents(events: events)
    }
}
