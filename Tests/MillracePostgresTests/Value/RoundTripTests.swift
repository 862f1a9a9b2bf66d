import Foundation
import MillracePostgres
import Testing

/// Whatever is bound comes back as it was, through the server and not only through our own encoding.
@Suite(.serialized) struct RoundTripTests {
    private static let rounds = 200

    /// Sends each value once as a parameter and has it back; also what the server makes of it as text.
    private func roundTrip<T: PostgresDecodable & Equatable & Sendable>(
        _ type: String,
        _ values: [T],
        _ encode: (T) -> PostgresValue
    ) async throws {
        try await withTestConnection { connection in
            let statement = PostgresStatement("SELECT $1::\(type), $1::\(type) IS NULL")
            let results = try await connection.pipeline(values.map { PostgresCall(statement, [encode($0)]) })
            for (value, rows) in zip(values, results) {
                #expect(try rows.single().decode(T.self, at: 0) == value)
            }
        }
    }

    private func random<T>(_ make: (inout SystemRandomNumberGenerator) -> T) -> [T] {
        var generator = SystemRandomNumberGenerator()
        return (0..<Self.rounds).map { _ in make(&generator) }
    }

    private func text(_ generator: inout SystemRandomNumberGenerator) -> String {
        let alphabet = Array("aZ09 \t\n\\'\"{},äßé漢字🎉\u{1}\u{7F}")
        let length = Int.random(in: 0...50, using: &generator)
        return String((0..<length).map { _ in alphabet.randomElement(using: &generator)! })
    }

    private func sometimes<T>(_ value: T, _ generator: inout SystemRandomNumberGenerator) -> T? {
        UInt8.random(in: 0..<4, using: &generator) == 0 ? nil : value
    }

    private func date(_ generator: inout SystemRandomNumberGenerator) -> Date {
        // Whole microseconds within 1900 … 2100, so that a Double holds them exactly enough to come back equal.
        let microseconds = Int64.random(in: -3_155_673_600_000_000...3_155_760_000_000_000, using: &generator)
        return Date(timeIntervalSinceReferenceDate: Double(microseconds) / 1_000_000)
    }

    private func bytes(_ generator: inout SystemRandomNumberGenerator) -> [UInt8] {
        (0..<Int.random(in: 0...300, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    @Test func numbers() async throws {
        try await roundTrip("bool", [true, false, nil]) { .bool($0) }
        try await roundTrip("int2", [Int16.min, -1, 0, 1, .max, nil]) { .int2($0) }
        try await roundTrip("int4", [Int32.min, .max, nil] + random { Int32.random(in: .min ... .max, using: &$0) }) {
            .int4($0)
        }
        try await roundTrip("int8", [Int64.min, .max, nil] + random { Int64.random(in: .min ... .max, using: &$0) }) {
            .int8($0)
        }
        try await roundTrip(
            "float8",
            [Double.infinity, -.infinity, .leastNonzeroMagnitude, -0.0, .greatestFiniteMagnitude, nil]
                + random { Double(bitPattern: UInt64.random(in: 0...(.max), using: &$0)) }.map { $0.isNaN ? 0.5 : $0 }
        ) { .float8($0) }
    }

    @Test func texts() async throws {
        let texts: [String?] = ["", nil] + random { sometimes(text(&$0), &$0) }
        try await roundTrip("text", texts) { .text($0) }
        try await roundTrip("text", texts) { .unknown($0) }
        try await roundTrip("varchar", texts) { .unknown($0) }
    }

    @Test func identifiersTimesAndBytes() async throws {
        try await roundTrip("uuid", [nil] + random { _ in UUID() }) { .uuid($0) }
        try await roundTrip("bytea", [[], nil] + random { bytes(&$0) }) { .bytea($0) }
        let dates = random { date(&$0) }
        try await withTestConnection { connection in
            let statement: PostgresStatement = "SELECT $1::timestamptz"
            for original in dates {
                let back = try await connection.query(statement, [.timestamptz(original)]).single().decode(
                    Date.self,
                    at: 0
                )
                #expect(abs(back.timeIntervalSince(original)) < 0.000_001)
            }
        }
    }

    @Test func timesAreWhatTheServerTakesThemFor() async throws {
        try await withTestConnection { connection in
            try await connection.script("SET TimeZone = 'UTC'")
            let statement: PostgresStatement = "SELECT $1::timestamptz::text"
            for (date, text) in [
                (Date(timeIntervalSince1970: 0), "1970-01-01 00:00:00+00"),
                (Date(timeIntervalSince1970: 946_684_800), "2000-01-01 00:00:00+00"),
                (Date(timeIntervalSince1970: 1_700_000_000.123456), "2023-11-14 22:13:20.123456+00"),
                (Date(timeIntervalSince1970: -1), "1969-12-31 23:59:59+00"),
                (Date(timeIntervalSinceReferenceDate: .infinity), "infinity"),
                (Date(timeIntervalSinceReferenceDate: -.infinity), "-infinity"),
            ] {
                #expect(
                    try await connection.query(statement, [.timestamptz(date)]).single().decode(String.self, at: 0)
                        == text
                )
            }
            let infinities = try await connection.query("SELECT 'infinity'::timestamptz, '-infinity'::timestamptz")
                .single()
            let (future, past) = try infinities.decode(Date.self, Date.self)
            #expect(future == .distantFuture)
            #expect(past == .distantPast)
        }
    }

    @Test func json() async throws {
        let texts = [#"{"a": [1, 2.5, null, "ä"]}"#, "null", "[]", #""x""#].map { [UInt8]($0.utf8) }
        try await roundTrip("jsonb", texts + [nil]) { .jsonb($0) }
        try await roundTrip("json", texts + [nil]) { .json($0) }
        try await withTestConnection { connection in
            for value in [PostgresValue.jsonb([UInt8]("{".utf8)), .json([UInt8]("{".utf8))] {
                let error = try await postgresError { try await connection.query("SELECT $1", [value]) }
                #expect(error.sqlState == .invalidTextRepresentation)
            }
        }
    }

    @Test func arrays() async throws {
        func arrays<T>(_ make: (inout SystemRandomNumberGenerator) -> T) -> [[T?]?] {
            let random = random { generator in
                (0..<Int.random(in: 0...20, using: &generator)).map { _ in sometimes(make(&generator), &generator) }
            }
            return [nil, [], [nil]] + random.map(Optional.some)
        }
        try await roundTrip("bool[]", arrays { Bool.random(using: &$0) }) { .boolArray($0) }
        try await roundTrip("int2[]", arrays { Int16.random(in: .min ... .max, using: &$0) }) { .int2Array($0) }
        try await roundTrip("int4[]", arrays { Int32.random(in: .min ... .max, using: &$0) }) { .int4Array($0) }
        try await roundTrip("int8[]", arrays { Int64.random(in: .min ... .max, using: &$0) }) { .int8Array($0) }
        try await roundTrip("float8[]", arrays { Double.random(in: -1e300...1e300, using: &$0) }) { .float8Array($0) }
        try await roundTrip("text[]", arrays { text(&$0) }) { .textArray($0) }
        try await roundTrip("uuid[]", arrays { _ in UUID() }) { .uuidArray($0) }
        try await roundTrip("bytea[]", arrays { bytes(&$0) }) { .byteaArray($0) }
        try await roundTrip("jsonb[]", arrays { [UInt8]("{\"n\": \(Int.random(in: 0...9, using: &$0))}".utf8) }) {
            .jsonbArray($0)
        }
        try await roundTrip("timestamptz[]", [nil, [], [Date(timeIntervalSince1970: 0), nil]]) { .timestamptzArray($0) }
    }

    @Test func arraysAreWhatTheServerTakesThemFor() async throws {
        try await withTestConnection { connection in
            let row = try await connection.query(
                "SELECT $1::text, array_length($2, 1), $2[2], $3::text, cardinality($4)",
                [.int4Array([1, nil, 3]), .textArray(["a", "b\"c"]), .boolArray([true, nil]), .int8Array([])]
            ).single()
            let (numbers, length, second, flags, none) = try row.decode(
                String.self,
                Int.self,
                String.self,
                String.self,
                Int.self
            )
            #expect(numbers == "{1,NULL,3}")
            #expect(length == 2)
            #expect(second == "b\"c")
            #expect(flags == "{t,NULL}")
            #expect(none == 0)
        }
    }

    @Test func untypedNullsFitAnyColumn() async throws {
        try await withTestConnection { connection in
            try await connection.script("CREATE TEMP TABLE n (a int8, b text, c jsonb, d int4[])")
            try await connection.query("INSERT INTO n VALUES ($1, $2, $3, $4)", [.null, .null, .null, .null])
            let row = try await connection.query("SELECT * FROM n").single()
            #expect((0..<4).allSatisfy { row.isNull(at: $0) })
        }
    }
}
