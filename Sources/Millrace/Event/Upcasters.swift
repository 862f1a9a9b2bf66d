/// What stored events mean now: steps that lift those of an earlier shape to the one that the code knows, whenever they are read. What is stored
/// never changes.
///
///     let upcasters = Upcasters()
///         .upcast("order.created", from: 1) { data in data["currency"] = "BRL" }
///         .upcast(OrderCreatedV2.self, to: OrderCreatedV3.self) { OrderCreatedV3($0, channel: .unknown) }
///         .rename("order.created", to: "order.placed")
///         .split("order.paid_and_packed", into: ["order.paid", "order.packed"]) { event in
///             [try NewEvent(Paid(…)), try NewEvent(Packed(…))]
///         }
///         .drop("order.viewed")
///     let store = EventStore(client, upcasters: upcasters)
///
/// An event's steps follow from its type and ``RecordedEvent/schemaVersion``: first those from version to version, one after the other; then the
/// type's `drop(_:where:)`; then the one that ends the type, `rename`, `split` or `drop`; and so on with what came of it, until nothing fits.
/// The order in which steps are declared says nothing. Steps that contradict each other stop the program where they are declared.
///
/// Steps run wherever events are read, again and again, in any order: they must be pure, and quick.
public struct Upcasters: Sendable {
    /// Steps of one event in a row: more are taken for a circle.
    public static let stepLimit = 64
    /// Events that one stored event may become.
    public static let partLimit = 10_000

    typealias Change = @Sendable (inout UpcastingDraft) throws -> Void
    typealias Condition = @Sendable (RecordedEvent) throws -> Bool
    typealias Split = @Sendable (RecordedEvent) throws -> [NewEvent]

    /// From one version of a type to another, or to one of another type.
    struct VersionStep: Sendable {
        let name: String
        let type: String
        let version: Int
        let change: Change
    }

    /// What becomes of a type, whatever its version.
    struct Ending: Sendable {
        enum Kind: Sendable {
            /// nil: the version stays.
            case rename(version: Int?)
            case split(Split)
            case drop
        }

        let name: String
        let targets: [String]
        let kind: Kind
    }

    /// All that is declared for a type.
    struct Plan: Sendable {
        let type: String
        var versions: [Int: VersionStep] = [:]
        var conditions: [(name: String, holds: Condition)] = []
        var ending: Ending?

        var targets: [String] { versions.values.map(\.type) + (ending?.targets ?? []) }
    }

    private(set) var plans: [Plan] = []

    public init() {}

    /// Whether nothing is declared: then reading costs nothing.
    public var isEmpty: Bool { plans.isEmpty }

    // MARK: Steps

    /// Changes the data of a version of a type, in place.
    ///
    /// - Parameters:
    ///   - next: the version that it has then; the next one unless told otherwise.
    ///   - change: an error that it throws fails the reading of the event, with ``UpcastingError``.
    public func upcast(
        _ type: String,
        from version: Int,
        to next: Int? = nil,
        _ change: @escaping @Sendable (inout JSONValue) throws -> Void
    ) -> Upcasters {
        let next = next ?? version + 1
        precondition(next > version, "“\(type)” is lifted from version \(version) to \(next), which is no later one")
        return adding(from: type, version, to: type, next) { draft in
            var value = try draft.value()
            try change(&value)
            draft.data = .value(value)
        }
    }

    /// Makes a value of one type of event from another's, which stands for the same event type in a later version, or for another event type.
    public func upcast<Old: TypedEvent, New: TypedEvent>(
        _ old: Old.Type,
        to new: New.Type,
        _ change: @escaping @Sendable (Old) throws -> New
    ) -> Upcasters {
        precondition(
            !Old.eventType.hasSameBytes(as: New.eventType) || New.schemaVersion > Old.schemaVersion,
            "“\(Old.eventType)” is lifted from version \(Old.schemaVersion) to \(New.schemaVersion), which is no later one"
        )
        return adding(from: Old.eventType, Old.schemaVersion, to: New.eventType, New.schemaVersion) { draft in
            draft.data = .text(try JSON(encoding: change(draft.json.decode(Old.self))))
        }
    }

    /// Gives events of a type another type; their data stay.
    ///
    /// - Parameter version: the ``TypedEvent/schemaVersion`` that their data have under the new name; nil: the same number as before.
    public func rename(_ type: String, to new: String, version: Int? = nil) -> Upcasters {
        precondition(version ?? 1 > 0, "versions begin at 1")
        return ending(type, Ending(name: "rename \(type) to \(new)", targets: [new], kind: .rename(version: version)))
    }

    /// Makes several events of one, in order, or none. They have its position, id, version, stream, times and metadata; of what `split` makes, the
    /// type, the data, the payload and the schema version count.
    ///
    /// - Parameter types: all that may come of it, so that a filter knows where to look; another one fails the reading of the event.
    public func split(
        _ type: String,
        into types: [String],
        _ split: @escaping @Sendable (RecordedEvent) throws -> [NewEvent]
    ) -> Upcasters {
        precondition(!types.isEmpty, "“\(type)” is split into nothing: drop it")
        return ending(
            type,
            Ending(name: "split \(type) into \(types.joined(separator: ", "))", targets: types, kind: .split(split))
        )
    }

    /// Leaves events of a type out.
    public func drop(_ type: String) -> Upcasters {
        precondition(
            plans.first { $0.type.hasSameBytes(as: type) }?.conditions.isEmpty ?? true,
            "“\(type)” is dropped always and also under a condition"
        )
        return ending(type, Ending(name: "drop \(type)", targets: [], kind: .drop))
    }

    /// Leaves those events of a type out for which `condition` holds. It sees them in the last version of the type, before it is renamed or split.
    public func drop(
        _ type: String,
        where condition: @escaping @Sendable (RecordedEvent) throws -> Bool
    ) -> Upcasters {
        changing(type) { plan in
            if case .drop = plan.ending?.kind {
                preconditionFailure("“\(type)” is dropped always and also under a condition")
            }
            plan.conditions.append(("drop \(type) under a condition", condition))
        }
    }

    private func adding(
        from type: String,
        _ version: Int,
        to newType: String,
        _ newVersion: Int,
        _ change: @escaping Change
    ) -> Upcasters {
        precondition(version > 0 && newVersion > 0, "the schema versions of “\(type)” begin at 1")
        let target = newType.hasSameBytes(as: type) ? "" : "\(newType) "
        return changing(type) { plan in
            precondition(plan.versions[version] == nil, "two steps lead away from version \(version) of “\(type)”")
            plan.versions[version] = VersionStep(
                name: "upcast \(type) from \(version) to \(target)\(newVersion)",
                type: newType,
                version: newVersion,
                change: change
            )
        }
    }

    private func ending(_ type: String, _ ending: Ending) -> Upcasters {
        let changed = changing(type) { plan in
            if let other = plan.ending {
                preconditionFailure("“\(type)” has two ends: \(other.name), and \(ending.name)")
            }
            plan.ending = ending
        }
        if let circle = changed.circle(from: type, [type]) {
            preconditionFailure("steps lead in a circle: \(circle.joined(separator: " to "))")
        }
        return changed
    }

    private func changing(_ type: String, _ change: (inout Plan) -> Void) -> Upcasters {
        var upcasters = self
        let index = upcasters.plans.firstIndex { $0.type.hasSameBytes(as: type) } ?? upcasters.plans.count
        if index == upcasters.plans.count { upcasters.plans.append(Plan(type: type)) }
        change(&upcasters.plans[index])
        return upcasters
    }

    /// Ends apply to every version, so a way from one back to itself never ends.
    private func circle(from type: String, _ way: [String]) -> [String]? {
        for target in plan(of: type)?.ending?.targets ?? [] {
            if way.contains(where: { $0.hasSameBytes(as: target) }) { return way + [target] }
            if let circle = circle(from: target, way + [target]) { return circle }
        }
        return nil
    }

    func plan(of type: String) -> Plan? { plans.first { $0.type.hasSameBytes(as: type) } }
}

extension Upcasters {
    // MARK: Filters

    /// The filter that finds everything stored which can become what `filter` wants.
    func stored(_ filter: EventFilter) -> EventFilter {
        guard !isEmpty, let wanted = filter.eventTypes else { return filter }
        var types = wanted
        var index = 0
        while index < types.count {
            for plan in plans
            where plan.targets.contains(where: { $0.hasSameBytes(as: types[index]) })
                && !types.contains(where: { $0.hasSameBytes(as: plan.type) })
            {
                types.append(plan.type)
            }
            index += 1
        }
        return EventFilter(eventTypes: types, aggregateTypes: filter.aggregateTypes)
    }

    /// The step that takes a type away, so that no event has it any more; nil where there is none.
    func end(of type: String) -> String? { plan(of: type)?.ending?.name }

    /// Whether there is a step for the event's type. Allocates nothing.
    func concerns(_ event: RecordedEvent) -> Bool { !plans.isEmpty && plans.contains { event.hasType($0.type) } }
}

extension String {
    /// As PostgreSQL compares text, where Swift's strings are equal when they look alike.
    func hasSameBytes(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}
