import MillracePostgres
import Testing

@testable import Millrace

@Suite(.timeLimit(.minutes(15)))
struct LaneHashTests {
    @Test func isTheChecksumOfTheStandard() {
        var hash = LaneHash()
        hash.add("123456789".utf8)
        #expect(hash.value == 0xE306_9283)
        // RFC 3720, appendix B.4: 32 bytes of zeros.
        var zeros = LaneHash()
        zeros.add([UInt8](repeating: 0, count: 32))
        #expect(zeros.value == 0x8A91_36AA)
    }

    @Test func laneIsTheSameInSwiftAndSQL() async throws {
        try await withStore { store in
            let streams =
                (0..<500).map { StreamID("order-\($0 % 7)", String(repeating: "ü\($0)/", count: $0 % 5)) } + [
                    StreamID("order", "42"), StreamID("a/b", "c"), StreamID("a", "b/c"),
                ]
            for lanes in [1, 7, 16, 1024] {
                let rows = try await store.client.query(
                    "SELECT millrace.lane_of(s.type, s.id, $3) FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS s (type, id, n) ORDER BY n",
                    [
                        .textArray(streams.map(\.aggregateType)), .textArray(streams.map(\.aggregateID)),
                        .int4(Int32(lanes)),
                    ]
                )
                #expect(try rows.map { Int(try $0.decode(Int32.self, at: 0)) } == streams.map { $0.lane(of: lanes) })
            }
        }
    }

    @Test func neverChanges() {
        #expect(StreamID("order", "42").lane(of: 16) == 11)
        #expect(StreamID("order", "42").lane(of: 1000) == 738)
        let event = RecordedEvent(position: Position(1), type: "t", stream: StreamID("order", "42"), version: 1)
        #expect(event.lane(of: 1000) == 738)
    }
}
