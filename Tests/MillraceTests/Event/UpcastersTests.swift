import Foundation
import Testing

@testable import Millrace

/// Steps, without a database.
struct UpcastersTests {
    private struct Fault: Error {}

    private struct V2: TypedEvent {
        static let eventType = "a"
        static let schemaVersion = 2
        let name: String
    }

    private struct V3: TypedEvent {
        static let eventType = "a"
        static let schemaVersion = 3
        let names: [String]
    }

    private struct Other: TypedEvent {
        static let eventType = "other"
        let count: Int
    }

    private func event(_ type: String, _ data: String = "{}", metadata: String? = nil) -> RecordedEvent {
        RecordedEvent(
            position: Position(7),
            type: type,
            stream: StreamID("s", "1"),
            version: 4,
            data: JSON(data),
            metadata: metadata.map { JSON($0) }
        )
    }

    private func lines(_ upcasters: Upcasters, _ event: RecordedEvent) throws -> [String] {
        try upcasters.lift(event).map { "\($0.type) v\($0.schemaVersion) \($0.data.text) \($0.metadata?.text ?? "-")" }
    }

    private let chain = Upcasters()
        .upcast(V2.self, to: V3.self) { V3(names: [$0.name]) }
        .upcast("a", from: 1) { data in
            data["name"] = data["title"] ?? "?"; data["title"] = nil
        }

    @Test func stepsFollowOneAnotherFromTheVersionThatIsStored() throws {
        #expect(try lines(chain, event("a", #"{"title":"x"}"#)) == [#"a v3 {"names":["x"]} {"schema_version":3}"#])
        #expect(
            try lines(chain, event("a", #"{"name":"y"}"#, metadata: #"{"k": 1, "schema_version": 2}"#))
                == [#"a v3 {"names":["y"]} {"k":1,"schema_version":3}"#]
        )
        let newest = event("a", #"{"names": []}"#, metadata: #"{"schema_version": 3}"#)
        #expect(try chain.lift(newest) == [newest])
        #expect(try chain.lift(event("b")).count == 1)
    }

    @Test func whatIsLiftedIsTheSameEvent() throws {
        let stored = event("a", #"{"title":"x"}"#, metadata: #"{"correlation_id": "c"}"#)
        let lifted = try #require(try chain.lift(stored).first)
        #expect(lifted.id == stored.id)
        #expect(lifted.position == stored.position)
        #expect(lifted.version == stored.version)
        #expect(lifted.stream == stored.stream)
        #expect(lifted.occurredAt == stored.occurredAt)
        #expect(lifted.createdAt == stored.createdAt)
        #expect(try lifted.decodeMetadata().correlationID == "c")
        #expect(try lifted.decodeMetadata().schemaVersion == 3)
        #expect(lifted.part == 0 && lifted.isLastPart)
    }

    @Test func aRenameKeepsTheVersionUnlessToldOtherwise() throws {
        let renamed = chain.rename("a", to: "b")
        #expect(try lines(renamed, event("a", #"{"title":"x"}"#)) == [#"b v3 {"names":["x"]} {"schema_version":3}"#])
        let numbered = chain.rename("a", to: "b", version: 1).upcast("b", from: 1, to: 4) { $0["more"] = true }
        #expect(
            try lines(numbered, event("a", #"{"title":"x"}"#))
                == [#"b v4 {"more":true,"names":["x"]} {"schema_version":4}"#]
        )
        // Version 1 is said by saying nothing.
        #expect(try lines(Upcasters().rename("a", to: "b"), event("a")) == ["b v1 {} -"])
        #expect(
            try lines(
                Upcasters().rename("a", to: "b", version: 1),
                event("a", metadata: #"{"schema_version": 5, "k": 1}"#)
            ) == [#"b v1 {} {"k":1}"#]
        )
    }

    @Test func aTypeMayBecomeAnother() throws {
        let upcasters = Upcasters().upcast(V2.self, to: Other.self) { Other(count: $0.name.count) }
        #expect(
            try lines(upcasters, event("a", #"{"name":"xyz"}"#, metadata: #"{"schema_version": 2}"#))
                == [#"other v1 {"count":3} {}"#]
        )
        #expect(try lines(upcasters, event("a")) == ["a v1 {} -"])
    }

    @Test func aSplitNumbersItsPartsAndGoesOnWithEach() throws {
        let upcasters = Upcasters()
            .split("both", into: ["left", "right"]) { _ in
                [
                    NewEvent(type: "left", data: .emptyObject), NewEvent(type: "right", data: .emptyObject),
                    NewEvent(type: "left", data: .emptyObject),
                ]
            }
            .upcast("left", from: 1) { $0["lifted"] = true }
            .drop("right")
        let parts = try upcasters.lift(event("both"))
        #expect(parts.map(\.part) == [0, 1])
        #expect(parts.map(\.isLastPart) == [false, true])
        #expect(parts.map(\.data.text) == [#"{"lifted":true}"#, #"{"lifted":true}"#])
        let one = try upcasters.lift(event("both"), matching: .eventTypes("right"))
        #expect(one.isEmpty)
    }

    @Test func theLastPartThatAFilterWantsIsTheLast() throws {
        let upcasters = Upcasters().split("both", into: ["left", "right"]) { _ in
            [NewEvent(type: "left", data: .emptyObject), NewEvent(type: "right", data: .emptyObject)]
        }
        let left = try upcasters.lift(event("both"), matching: .eventTypes("left"))
        #expect(left.map(\.part) == [0])
        #expect(left.map(\.isLastPart) == [true])
        let right = try upcasters.lift(event("both"), matching: .eventTypes("right"))
        #expect(right.map(\.part) == [1])
    }

    @Test func aConditionSeesTheLastVersionOfTheType() throws {
        let upcasters = chain.rename("a", to: "b").drop("a") { try $0.decode(V3.self).names == ["x"] }
        #expect(try upcasters.lift(event("a", #"{"title":"x"}"#)).isEmpty)
        #expect(try upcasters.lift(event("a", #"{"title":"y"}"#)).map(\.type) == ["b"])
    }

    @Test func anErrorNamesEventPositionAndStep() throws {
        let upcasters = Upcasters().upcast("a", from: 1) { _ in throw Fault() }
        let stored = event("a")
        let error = try #require(throws: UpcastingError.self) { try upcasters.lift(stored) }
        #expect(error.eventID == stored.id && error.position == stored.position)
        #expect(error.step == "upcast a from 1 to 2")
        #expect(error.cause is Fault)
        for word in [stored.id.uuidString.lowercased(), "position 7", "upcast a from 1 to 2", "s/1", "Fault"] {
            #expect("\(error)".contains(word), "\(error)")
        }
        #expect(throws: UpcastingError.self) { try chain.lift(event("a", "{}", metadata: #"{"schema_version": 2}"#)) }
    }

    @Test(arguments: [#""2""#, "0", "-1", "1.5", "2.0", "true", "null", "{}", "99999999999999999999"])
    func aVersionThatIsNoneFailsTheEventAndNoOther(version: String) throws {
        let error = try #require(throws: UpcastingError.self) {
            try chain.lift(event("a", metadata: "{\"schema_version\": \(version)}"))
        }
        #expect(error.step == nil)
        #expect(try chain.lift(event("b", metadata: "{\"schema_version\": \(version)}")).count == 1)
    }

    @Test func aSplitMakesOnlyWhatItDeclares() throws {
        let upcasters = Upcasters().split("a", into: ["b"]) { _ in [NewEvent(type: "c", data: .emptyObject)] }
        let error = try #require(throws: UpcastingError.self) { try upcasters.lift(event("a")) }
        #expect("\(error)".contains("“c”"))
    }

    @Test func aCircleOfVersionsIsNamedAndEnds() throws {
        struct A1: TypedEvent { static let eventType = "a" }
        struct B1: TypedEvent { static let eventType = "b" }
        let upcasters = Upcasters().upcast(A1.self, to: B1.self) { _ in B1() }.upcast(B1.self, to: A1.self) { _ in A1()
        }
        let error = try #require(throws: UpcastingError.self) { try upcasters.lift(event("a")) }
        #expect("\(error)".contains("upcast a from 1 to b 1, upcast b from 1 to a 1"))
    }

    @Test func aFilterFindsWhateverCanBecomeIt() {
        let upcasters = Upcasters()
            .rename("a", to: "b")
            .rename("b", to: "c")
            .split("x", into: ["c", "y"]) { _ in [] }
            .upcast(V2.self, to: Other.self) { Other(count: $0.name.count) }
        func stored(_ types: String...) -> Set<String> {
            Set(upcasters.stored(EventFilter(eventTypes: types, aggregateTypes: ["s"])).eventTypes ?? [])
        }
        #expect(stored("c") == ["a", "b", "c", "x"])
        #expect(stored("y") == ["x", "y"])
        #expect(stored("other") == ["a", "other"])
        #expect(stored("unrelated") == ["unrelated"])
        #expect(upcasters.stored(.all) == .all)
        #expect(upcasters.stored(EventFilter(eventTypes: ["c"], aggregateTypes: ["s"])).aggregateTypes == ["s"])
    }

    @Test func stepsThatContradictEachOtherStopTheProgram() async {
        await #expect(processExitsWith: .failure) {
            _ = Upcasters().upcast("a", from: 1) { _ in }.upcast("a", from: 1, to: 3) { _ in }
        }
        await #expect(processExitsWith: .failure) { _ = Upcasters().upcast("a", from: 2, to: 2) { _ in } }
        await #expect(processExitsWith: .failure) { _ = Upcasters().upcast("a", from: 0) { _ in } }
        await #expect(processExitsWith: .failure) { _ = Upcasters().rename("a", to: "b").drop("a") }
        await #expect(processExitsWith: .failure) { _ = Upcasters().rename("a", to: "a") }
        await #expect(processExitsWith: .failure) {
            _ = Upcasters().rename("a", to: "b").split("b", into: ["c", "a"]) { _ in [] }
        }
        await #expect(processExitsWith: .failure) { _ = Upcasters().drop("a").drop("a") { _ in true } }
        await #expect(processExitsWith: .failure) { _ = Upcasters().drop("a") { _ in true }.drop("a") }
        await #expect(processExitsWith: .failure) { _ = Upcasters().split("a", into: []) { _ in [] } }
    }

    @Test func aTypedEventSaysItsVersionWhereItIsNotTheFirst() throws {
        #expect(try NewEvent(Other(count: 1)).metadata == nil)
        #expect(try NewEvent(V3(names: [])).metadata?.text == #"{"schema_version":3}"#)
        let metadata = EventMetadata(correlationID: "c", schemaVersion: 9, own: ["k": "v"])
        #expect(try NewEvent(V3(names: []), metadata: metadata).metadata?.decode(EventMetadata.self).schemaVersion == 3)
        #expect(
            try NewEvent(Other(count: 1), metadata: metadata).metadata?.decode(EventMetadata.self).schemaVersion == nil
        )
        #expect(try JSON(encoding: metadata).decode(EventMetadata.self) == metadata)
    }
}
