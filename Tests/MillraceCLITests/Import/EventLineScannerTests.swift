import Foundation
import Millrace
import Testing

@testable import MillraceCLI

/// What the scanner takes, it reads as a JSON parser does; and it takes nothing that one would not.
@Suite("A line of an import is scanned")
struct EventLineScannerTests {
    private func takes(_ line: String) -> Bool {
        var rows = ImportRows()
        let taken = Array(line.utf8).withUnsafeBytes { EventLineScanner().take($0, into: &rows) }
        #expect(rows.count == (taken ? 1 : 0))
        return taken
    }

    private static let names = #""event_type":"a","aggregate_type":"b","aggregate_id":"c""#

    @Test(
        "and taken where it is an event",
        arguments: [
            #"{\#(names),"event_data":{}}"#,
            #" { "event_data" : [ 1 , "]}\"" , {"x":"\\"} ] , \#(names) , "metadata" : {"a":null} } "#,
            #"{\#(names),"event_data":null,"metadata":null,"event_id":null,"occurred_at":null,"payload":null}"#,
            #"{\#(names),"payload":"AAH/","content_type":"image/x"}"#,
            #"{\#(names),"event_data":-1.5e3,"id":17,"version":1,"created_at":"2026-01-31T12:00:00Z"}"#,
            #"{\#(names),"event_data":true,"occurred_at":"2024-02-29T23:59:59.999999+05:30"}"#,
            #"{"\u0065vent_type":"\ud83d\ude42\n","aggregate_type":"b\"","aggregate_id":"é\/","event_data":""}"#,
            #"{\#(names),"event_data":1,"event_id":"0190A6E2-7b0c-7c3b-8000-0123456789ab"}"#,
        ]
    )
    func taken(line: String) { #expect(takes(line)) }

    @Test(
        "and left where it may be none",
        arguments: [
            "", "null", "[]", "{}", #"{\#(names)}"#, #"{\#(names),"event_data":1"#, #"{\#(names),"event_data":1}}"#,
            #"{\#(names),"event_data":1}{"#, #"{\#(names),"event_data":}"#, #"{\#(names),"event_data":1,}"#,
            #"{\#(names),"event_data":1,"event_data":2}"#, #"{\#(names),"event_data":1,"metdata":{}}"#,
            #"{\#(names),"event_data":1,"metadata":[]}"#, #"{\#(names),"event_data":1,"metadata":"x"}"#,
            #"{\#(names),"event_data":1,"occurred_at":"2023-02-29T00:00:00Z"}"#,
            #"{\#(names),"event_data":1,"occurred_at":"2024-01-01T24:00:00Z"}"#,
            #"{\#(names),"event_data":1,"occurred_at":"2024-01-01T00:00:00"}"#,
            #"{\#(names),"event_data":1,"occurred_at":"9999-12-31T23:00:00-02:00"}"#,
            #"{\#(names),"event_data":1,"event_id":"42"}"#, #"{\#(names),"payload":"AA"}"#,
            #"{\#(names),"payload":"AB=="}"#,
            #"{\#(names),"event_data":1,"id":01}"#, #"{\#(names),"event_data":1,"id":{}}"#,
            #"{"event_type":"","aggregate_type":"b","aggregate_id":"c","event_data":1}"#,
            #"{"event_type":1,"aggregate_type":"b","aggregate_id":"c","event_data":1}"#,
            #"{"event_type":"\u0000","aggregate_type":"b","aggregate_id":"c","event_data":1}"#,
            #"{"event_type":"\ud83d","aggregate_type":"b","aggregate_id":"c","event_data":1}"#,
            #"{"event_type":"\x","aggregate_type":"b","aggregate_id":"c","event_data":1}"#,
            "{\"event_type\":\"a\tb\",\"aggregate_type\":\"b\",\"aggregate_id\":\"c\",\"event_data\":1}",
        ]
    )
    func left(line: String) { #expect(!takes(line)) }

    /// Members of random documents, cut out one by one, are those that Foundation finds.
    @Test("and cut as a parser of JSON would, whatever is in it", arguments: 0..<40)
    func cut(seed: Int) throws {
        var dice = SystemRandomNumberGenerator()
        for _ in 0..<50 {
            let document = Self.document(depth: 4, &dice)
            let key = Self.text(&dice)
            let json =
                "{\(Self.space(&dice))\(Self.quoted(key, &dice))\(Self.space(&dice)):\(Self.space(&dice))\(document)\(Self.space(&dice))}"
            let parsed = try #require(
                try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any],
                "the test writes JSON"
            )
            let bytes = Array(json.utf8)
            let (decoded, value) = try #require(Self.member(of: bytes[...]), "\(json)")
            #expect(decoded == key, "\(json)")
            let cut = try JSONSerialization.jsonObject(with: Data(value), options: .fragmentsAllowed)
            #expect((cut as? NSObject) == (parsed[key] as? NSObject), "\(json)")
            for end in stride(from: 0, to: bytes.count - 1, by: 7) {
                #expect(Self.member(of: bytes[..<end]) == nil, "\(json) up to \(end)")
            }
        }
    }

    /// The only member of an object, as the scanner reads it.
    private static func member(of bytes: ArraySlice<UInt8>) -> (key: String, value: [UInt8])? {
        withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { scratch in
            bytes.withUnsafeBytes { bytes in
                var cursor = JSONCursor(bytes)
                guard cursor.take(UInt8(ascii: "{")) else { return nil }
                cursor.skipSpace()
                guard let key = cursor.string(into: scratch) else { return nil }
                cursor.skipSpace()
                guard cursor.take(UInt8(ascii: ":")) else { return nil }
                cursor.skipSpace()
                guard let value = cursor.value() else { return nil }
                cursor.skipSpace()
                guard cursor.take(UInt8(ascii: "}")), cursor.isAtEnd else { return nil }
                return (String(decoding: key, as: UTF8.self), Array(value))
            }
        }
    }

    private static func space(_ dice: inout some RandomNumberGenerator) -> String {
        ["", "", " ", "\t\r ", "  "].randomElement(using: &dice) ?? ""
    }

    private static func text(_ dice: inout some RandomNumberGenerator) -> String {
        let scalars: [Unicode.Scalar] = [
            "a", "é", "🙂", "\"", "\\", "/", "\n", "\u{1}", "{", "}", "]", ",", ":", "\u{2028}",
        ]
        var text = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0...8, using: &dice) { text.append(scalars.randomElement(using: &dice) ?? "a") }
        return String(text)
    }

    /// Escaped where it must be, and at times where it need not.
    private static func quoted(_ text: String, _ dice: inout some RandomNumberGenerator) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            let escape = scalar.value < 0x20 || scalar == "\"" || scalar == "\\"
            if escape || Int.random(in: 0..<4, using: &dice) == 0 {
                for unit in String(scalar).utf16 {
                    let digits = String(unit, radix: 16)
                    quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            } else {
                quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }

    private static func document(depth: Int, _ dice: inout some RandomNumberGenerator) -> String {
        switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &dice) {
        case 0: return "null"
        case 1: return "true"
        case 2: return "\(Int.random(in: -99999...99999, using: &dice))"
        case 3: return "0.5e2"
        case 4, 5: return quoted(text(&dice), &dice)
        case 6:
            let items = (0..<Int.random(in: 0...3, using: &dice)).map { _ in document(depth: depth - 1, &dice) }
            return "[\(space(&dice))\(items.joined(separator: " ,"))]"
        default:
            let members = (0..<Int.random(in: 0...3, using: &dice)).map { number in
                quoted("\(number)" + text(&dice), &dice) + ":" + space(&dice) + document(depth: depth - 1, &dice)
            }
            return "{\(members.joined(separator: ","))\(space(&dice))}"
        }
    }

    @Test("with its times as the library reads them, to the microsecond")
    func times() throws {
        func padded(_ number: Int, _ count: Int) -> String {
            String(repeating: "0", count: count - String(number).count) + String(number)
        }
        for _ in 0..<2000 {
            let day =
                "\(padded(Int.random(in: 1...9999), 4))-\(padded(Int.random(in: 1...12), 2))-\(padded(Int.random(in: 1...31), 2))"
            let time =
                "\(padded(Int.random(in: 0...23), 2)):\(padded(Int.random(in: 0...59), 2)):\(padded(Int.random(in: 0...59), 2))"
            let fraction = Int.random(in: 0...999_999)
            let parsed = Array("\(day)T\(time).\(padded(fraction, 6))Z".utf8).withUnsafeBytes {
                RFC3339Microseconds.parse($0)
            }
            let expected = Date(rfc3339: "\(day)T\(time)Z").map { date in
                (Int64(date.timeIntervalSince1970) - 946_684_800) * 1_000_000 + Int64(fraction)
            }
            #expect(parsed == expected, "\(day)T\(time)")
        }
        let west = Array("2000-01-01T00:00:00-05:30".utf8).withUnsafeBytes { RFC3339Microseconds.parse($0) }
        let expected: Int64 = 19_800_000_000
        #expect(west == expected)
    }

    @Test("and its payload decoded as Foundation does")
    func base64() {
        for _ in 0..<500 {
            let bytes = (0..<Int.random(in: 0...40)).map { _ in UInt8.random(in: 0...255) }
            let text = Array(Data(bytes).base64EncodedString().utf8)
            #expect(text.withUnsafeBytes { Base64.decode($0) } == bytes)
        }
    }
}
