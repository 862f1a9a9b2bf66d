import Millrace

/// A shop whose events have changed their shapes, and what the old ones mean now.
enum OldShop {
    struct Broken: Error {}

    struct Paid: TypedEvent {
        static let eventType = "order.paid"
        let cents: Int
    }

    struct Packed: TypedEvent {
        static let eventType = "order.packed"
        static let schemaVersion = 2
        let parcels: Int
    }

    private struct PaidAndPacked: Decodable {
        let cents: Int
        let parcels: Int
    }

    static let upcasters = Upcasters()
        .upcast("order.created", from: 1) { data in data["currency"] = "BRL" }
        .rename("order.created", to: "order.placed")
        .split("order.paid_and_packed", into: ["order.paid", "order.packed"]) { event in
            let both = try event.decode(PaidAndPacked.self)
            return [try NewEvent(Paid(cents: both.cents)), try NewEvent(Packed(parcels: both.parcels))]
        }
        .drop("order.viewed")
        .drop("order.noted") { event in try event.decode([String: Bool].self)["secret"] == true }

    /// The same, and one type that cannot be lifted.
    static let broken = upcasters.upcast("order.broken", from: 1) { _ in throw Broken() }

    static func event(_ type: String, _ data: String = "{}", metadata: String? = nil) -> NewEvent {
        NewEvent(type: type, data: JSON(data), metadata: metadata.map { JSON($0) })
    }

    /// Two streams of old and new events, at the positions 1 to 12.
    static func publish(to store: EventStore) async throws {
        let (a, b) = (StreamID("order", "a"), StreamID("order", "b"))
        try await store.append([event("order.created", #"{"cents": 1}"#), event("order.viewed")], to: a)
        try await store.append([event("order.created", #"{"cents": 2}"#), event("order.viewed")], to: b)
        try await store.append([event("order.paid_and_packed", #"{"cents": 1, "parcels": 3}"#)], to: a)
        try await store.append([event("order.paid", #"{"cents": 2}"#), event("order.viewed")], to: b)
        try await store.append(
            [event("order.noted", #"{"secret": true}"#), event("order.noted", #"{"secret": false}"#)],
            to: a
        )
        try await store.append(
            [
                event(
                    "order.created",
                    #"{"cents": 3, "currency": "EUR"}"#,
                    metadata: #"{"schema_version": 2, "by": "x"}"#
                )
            ],
            to: StreamID("order", "c")
        )
        try await store.append([event("order.placed", #"{"cents": 4, "currency": "EUR"}"#)], to: StreamID("order", "d"))
        try await store.append([event("order.viewed")], to: b)
    }

    /// What they mean now.
    static let meaning = [
        #"1.0 order/a 1 order.placed v2 {"cents":1,"currency":"BRL"}"#,
        #"3.0 order/b 1 order.placed v2 {"cents":2,"currency":"BRL"}"#,
        #"5.0 order/a 3 order.paid v1 {"cents":1}"#,
        #"5.1 order/a 3 order.packed v2 {"parcels":3}"#,
        #"6.0 order/b 3 order.paid v1 {"cents":2}"#,
        #"9.0 order/a 5 order.noted v1 {"secret":false}"#,
        #"10.0 order/c 1 order.placed v2 {"cents":3,"currency":"EUR"}"#,
        #"11.0 order/d 1 order.placed v1 {"cents":4,"currency":"EUR"}"#,
    ]

    /// An event as a line of ``meaning``.
    static func line(_ event: RecordedEvent) throws -> String {
        let data = JSON(try JSONValue(event.data)).text
        return
            "\(event.position).\(event.part) \(event.stream) \(event.version) \(event.type) v\(event.schemaVersion) \(data)"
    }

    static func meaning(of types: [String]?) -> [String] {
        guard let types else { return meaning }
        return meaning.filter { line in types.contains(String(line.split(separator: " ")[3])) }
    }
}
