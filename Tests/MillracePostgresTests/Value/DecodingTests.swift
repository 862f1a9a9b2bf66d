import Foundation
import MillracePostgres
import Testing

@Suite(.serialized) struct DecodingTests {
    private func row(_ sql: PostgresStatement, _ body: (PostgresRow) throws -> Void) async throws {
        try await withTestConnection { try body(try await $0.query(sql).single()) }
    }

    private func failure(_ body: () throws -> Void) throws -> PostgresDecodingError {
        do {
            try body()
        } catch PostgresError.decoding(let error) {
            return error
        }
        throw ConditionNotMet(description: "nothing was thrown")
    }

    @Test func integersWidenAndNarrow() async throws {
        try await row("SELECT 5::int2, 5::int4, 5::int8, 40000::int4, 5::oid") { row in
            for column in 0..<3 {
                #expect(try row.decode(Int.self, at: column) == 5)
                #expect(try row.decode(Int64.self, at: column) == 5)
                #expect(try row.decode(Int32.self, at: column) == 5)
                #expect(try row.decode(Int16.self, at: column) == 5)
            }
            #expect(try row.decode(Int.self, at: 4) == 5)
            let error = try failure { _ = try row.decode(Int16.self, at: 3) }
            #expect(error.reason.contains("40000"))
        }
    }

    @Test func textLikesDecodeAsText() async throws {
        try await row(
            #"SELECT 'a'::text, 'a'::varchar, 'a'::char(1), 'a'::name, '{"a":1}'::json, '{"a":1}'::jsonb, 'a'"#
        ) { row throws in
            for column in [0, 1, 2, 3, 6] { #expect(try row.decode(String.self, at: column) == "a") }
            #expect(try row.decode(String.self, at: 4) == #"{"a":1}"#)
            #expect(try row.decode(String.self, at: 5) == #"{"a": 1}"#)
            #expect(try row.decode([UInt8].self, at: 5) == [UInt8](#"{"a": 1}"#.utf8))
            #expect(try row.decode([UInt8].self, at: 0) == [97])
        }
    }

    @Test func nullsNeedAnOptional() async throws {
        try await row("SELECT NULL::int8 AS missing, NULL::text, ARRAY[1, NULL]") { row in
            #expect(try row.decode(Int?.self, at: 0) == nil)
            #expect(try row.decode(String?.self, at: 1) == nil)
            let error = try failure { _ = try row.decode(Int.self, named: "missing") }
            #expect(error.column == "missing")
            #expect(error.typeOID == 20)
            #expect(error.target == "Int")
            #expect(error.reason.contains("NULL"))
            #expect(try row.decode([Int?].self, at: 2) == [1, nil])
            _ = try failure { _ = try row.decode([Int].self, at: 2) }
        }
    }

    @Test func anotherTypeNamesItsCast() async throws {
        try await row("SELECT 1.5::numeric AS price, 'x'::text, 1::int4, now()::timestamp, '1 day'::interval, true") {
            row in
            let error = try failure { _ = try row.decode(Double.self, named: "price") }
            #expect(error.typeOID == 1_700)
            #expect("\(error)".contains("price"))
            #expect("\(error)".contains("float8"))
            _ = try failure { _ = try row.decode(String.self, at: 0) }
            _ = try failure { _ = try row.decode(Int.self, at: 1) }
            _ = try failure { _ = try row.decode(Bool.self, at: 2) }
            _ = try failure { _ = try row.decode(Date.self, at: 3) }
            _ = try failure { _ = try row.decode(String.self, at: 4) }
            _ = try failure { _ = try row.decode(UUID.self, at: 5) }
            _ = try failure { _ = try row.decode([UInt8].self, at: 5) }
            _ = try failure { _ = try row.decode([Int].self, at: 2) }
        }
    }

    @Test func floatsDecodeAsTheirOwn() async throws {
        try await row("SELECT 1.5::float4, 1.5::float8, 'NaN'::float8") { row in
            #expect(try row.decode(Float.self, at: 0) == 1.5)
            #expect(try row.decode(Double.self, at: 0) == 1.5)
            #expect(try row.decode(Double.self, at: 1) == 1.5)
            #expect(try row.decode(Double.self, at: 2).isNaN)
            _ = try failure { _ = try row.decode(Float.self, at: 1) }
        }
    }

    @Test func arraysOfOtherShapesAreRefused() async throws {
        try await row("SELECT ARRAY[[1, 2], [3, 4]], '{}'::int4[], ARRAY['a', 'b']::varchar[], '[5:6]={7,8}'::int4[]") {
            row in
            #expect(try failure { _ = try row.decode([Int].self, at: 0) }.reason.contains("2 dimensions"))
            #expect(try row.decode([Int].self, at: 1) == [])
            #expect(try row.decode([String].self, at: 2) == ["a", "b"])
            #expect(try row.decode([Int].self, at: 3) == [7, 8])
            _ = try failure { _ = try row.decode([Int].self, at: 2) }
        }
    }

    @Test func aColumnThatIsNotThereIsNamed() async throws {
        try await row("SELECT 1 AS one, 2 AS two") { row in
            #expect(try failure { _ = try row.decode(Int.self, named: "three") }.reason.contains("two"))
            #expect(try failure { _ = try row.decode(Int.self, at: 2) }.column == "2")
            _ = try failure { _ = try row.decode(Int.self, at: -1) }
            _ = try failure { _ = try row.decode(Int.self, Int.self, Int.self) }
            _ = try failure { _ = try row.decode(Int.self) as (Int) }
            #expect(try row.decode(Int.self, named: "two") == 2)
        }
    }

    @Test func rawBytesAreThoseOfTheWire() async throws {
        try await row("SELECT 1::int4, NULL::int4, ''::text") { row in
            #expect(row.withBytes(at: 0) { [UInt8]($0) } == [0, 0, 0, 1])
            #expect(row.withBytes(at: 1) { $0.count } == 0)
            #expect(row.isNull(at: 1))
            #expect(!row.isNull(at: 2))
        }
    }

    @Test func rowsOutliveTheirConnection() async throws {
        let rows = try await withTestConnection { try await $0.query("SELECT generate_series(1, 100)") }
        #expect(try rows.map { try $0.decode(Int.self, at: 0) }.reduce(0, +) == 5_050)
        #expect(throws: PostgresError.self) { try rows.single() }
    }

    @Test func bytesThatAreNoValueAreRefused() {
        let broken: [[UInt8]] = [
            [], [0, 0, 0, 1], [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 127, 255, 255, 255, 0, 0, 0, 1],
        ]
        for bytes in broken {
            bytes.withUnsafeBytes { buffer in
                let cell = PostgresCell(typeOID: 1_007, bytes: buffer)
                #expect(throws: PostgresCellFailure.self) { try [Int].decode(cell) }
                #expect(throws: PostgresCellFailure.self) { try Int.decode(PostgresCell(typeOID: 20, bytes: buffer)) }
            }
        }
    }
}
