extension Handler {
    /// The handler as its lanes work with it: on events as they are stored, with a filter that finds them there, and with a body that is given
    /// what they mean now, with their personal data open. So a stored event is handled, retried, parked and counted once, whatever it has become.
    func lifting(with upcasters: Upcasters, opening vault: PersonalVault? = nil) -> Handler {
        guard !upcasters.isEmpty || vault != nil else { return self }
        let wanted = filter
        var lifting = self
        switch work {
        case .each(let body):
            lifting.work = .each { event, context in
                let event = try await vault?.openAll([event])[0] ?? event
                guard upcasters.concerns(event) else { return try await body(event, context.over(event)) }
                for lifted in try upcasters.lift(event, matching: wanted) {
                    let outcome = try await body(lifted, context.over(lifted))
                    guard outcome == .done else { return outcome }
                }
                return .done
            }
        case .batch(let body):
            lifting.work = .batch { events, context in
                let events = try await vault?.openAll(events) ?? events
                guard events.contains(where: upcasters.concerns) else { return try await body(events, context) }
                let lifted = try events.flatMap { event in
                    upcasters.concerns(event) ? try upcasters.lift(event, matching: wanted) : [event]
                }
                guard let first = lifted.first else { return .done }
                return try await body(lifted, context.over(first))
            }
        // The function reads the event itself.
        case .function: return self
        }
        lifting.filter = upcasters.stored(filter)
        return lifting
    }

    /// Throws ``EventStoreError/handlerRefused(_:hint:)`` where it asks for events that there are none of any more: it would wait for ever.
    func check(against upcasters: Upcasters) throws {
        if case .function = work { return }
        for type in filter.eventTypes ?? [] {
            guard let end = upcasters.end(of: type) else { continue }
            throw EventStoreError.handlerRefused(
                "the handler “\(name)” asks for “\(type)”, and no event is that any more: \(end)",
                hint: "Ask for what these events have become; the handler goes on where it was."
            )
        }
    }
}

extension EventFilter {
    /// Whether it finds the same events: the order of its names, and their repetition, says nothing.
    func finds(theSameAs other: EventFilter) -> Bool {
        func sorted(_ names: [String]?) -> [[UInt8]]? {
            names.map { names in
                Set(names.map { Array($0.utf8) }).sorted { $0.lexicographicallyPrecedes($1) }
            }
        }
        return sorted(eventTypes) == sorted(other.eventTypes) && sorted(aggregateTypes) == sorted(other.aggregateTypes)
    }
}
