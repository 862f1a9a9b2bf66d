import Millrace
import MillraceTesting
import Testing

@Suite struct StreamIDTests {
    private let composed = StreamID("order", "caf\u{E9}")
    private let decomposed = StreamID("order", "cafe\u{301}")

    @Test func namesThatLookAlikeAreTwoStreamsAsTheyAreToPostgreSQL() async throws {
        #expect(composed != decomposed)
        #expect(Set([composed, decomposed]).count == 2)

        try await withTestStore { store in
            let event = { NewEvent(type: "noted", data: .emptyObject) }
            try await store.append([event()], to: decomposed)
            var request = AppendRequest([event()], to: composed, expecting: .noStream)
            request.append([event()], to: decomposed, expecting: .exactly(7))
            // The expectation of one must not have taken the other's place.
            await #expect(throws: EventStoreError.self) { try await store.append(request) }
            let result = try await store.append([event()], to: composed, expecting: .noStream)
            #expect(result.version(of: composed) == 1)
            #expect(result.version(of: decomposed) == nil)
        }
    }

    @Test func partsDoNotRunIntoEachOther() {
        #expect(StreamID("a", "bc") != StreamID("ab", "c"))
        #expect(Set([StreamID("a", "bc"), StreamID("ab", "c"), StreamID("a", "bc")]).count == 2)
    }
}
