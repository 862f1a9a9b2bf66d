import Foundation
import MillracePostgres
import Testing

/// What is built element by element is what the array of the same elements is.
@Suite struct ArrayBuilderTests {
    @Test func elementsOfEachType() {
        var numbers = PostgresArrayBuilder(of: .int4, count: 2, elementBytes: 4)
        for number in [1, nil, .min] as [Int32?] { numbers.append(number) }
        #expect(numbers.value == .int4Array([1, nil, .min]))
        var texts = PostgresArrayBuilder(of: .text, count: 2)
        for text in ["", "Zoë 🧵", nil] as [String?] { texts.append(text) }
        #expect(texts.value == .textArray(["", "Zoë 🧵", nil]))
        let uuid = UUID()
        var uuids = PostgresArrayBuilder(of: .uuid, count: 1, elementBytes: 16)
        uuids.append(uuid)
        #expect(uuids.value == .uuidArray([uuid]))
        let date = Date(timeIntervalSince1970: 1_234_567_890.5)
        var dates = PostgresArrayBuilder(of: .timestamptz, count: 1)
        dates.append(date)
        #expect(dates.value == .timestamptzArray([date]))
        var bytes = PostgresArrayBuilder(of: .bytea, count: 2)
        for value in [[], [1, 2, 3]] as [[UInt8]] { bytes.append(value) }
        #expect(bytes.value == .byteaArray([[], [1, 2, 3]]))
        var documents = PostgresArrayBuilder(of: .jsonb, count: 1)
        documents.append(Array("{}".utf8))
        #expect(documents.value == .jsonbArray([Array("{}".utf8)]))
    }

    @Test func nullsBeforeTheFirstElementAreKept() {
        var texts = PostgresArrayBuilder(of: .text, count: 4)
        for text in [nil, nil, "a", nil] as [String?] { texts.append(text) }
        #expect(texts.value == .textArray([nil, nil, "a", nil]))
        #expect(texts.valueUnlessAllNull == texts.value)
    }

    @Test func nothingButNullsMayBeNull() {
        var texts = PostgresArrayBuilder(of: .text, count: 2)
        #expect(texts.value == .textArray([]))
        for _ in 0..<2 { texts.append(nil as String?) }
        #expect(texts.value == .textArray([nil, nil]))
        #expect(texts.valueUnlessAllNull == .textArray(nil))
    }

    @Test func theServerTakesThemForArrays() async throws {
        var texts = PostgresArrayBuilder(of: .text, count: 2)
        for text in [nil, "b"] as [String?] { texts.append(text) }
        try await withClient { client in
            let row = try await client.query("SELECT $1 IS NOT DISTINCT FROM '{NULL,b}'::text[]", [texts.value])
                .single()
            #expect(try row.decode(Bool.self, at: 0))
            let empty = PostgresArrayBuilder(of: .text, count: 0).value
            #expect(try await client.query("SELECT cardinality($1)", [empty]).single().decode(Int.self, at: 0) == 0)
        }
    }
}
