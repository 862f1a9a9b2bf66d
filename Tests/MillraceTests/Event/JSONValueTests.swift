import Millrace
import Testing

/// JSON that is changed in place keeps everything that was not changed.
struct JSONValueTests {
    @Test(
        arguments: [
            "null", "true", "false", "0", "-0", "0.10", "12345678901234567890.123456789", "1e400", "1E-7", "\"\"", "[]",
            "{}",
            #"[1,[2,{"a":null}],"x"]"#, #"{"a":{"b":[1.50,2]},"ä":"ü😀"}"#, #""\"\\/\u0001""#,
        ]
    )
    func comesBackAsItWas(text: String) throws {
        #expect(JSON(try JSONValue(JSON(text))).text == text)
    }

    @Test func escapesAreRead() throws {
        let value = try JSONValue(JSON(#""\u00e9\ud83d\ude00\n\/\b""#))
        #expect(value == "\u{e9}😀\n/\u{8}")
        #expect(JSON(value).text == "\"\u{e9}😀\\u000a/\\u0008\"")
    }

    @Test(
        arguments: [
            "", " ", "nul", "01", "1.", ".5", "+1", "1e", "--1", "tru", "\"", #""\x""#, #""\ud800""#,
            #""\ud800\u0041""#, #""\u12""#,
            "[1,]", "[1", "{\"a\"}", "{\"a\":1,}", "{a:1}", "1 2", "\"\u{1}\"",
        ]
    )
    func whatIsNoJSONIsRefused(text: String) {
        #expect(throws: JSONSyntaxError.self) { try JSONValue(JSON(text)) }
    }

    @Test func tooDeepIsRefusedAndTheLimitIsNot() throws {
        func nested(_ depth: Int) -> JSON {
            JSON(String(repeating: "[", count: depth) + String(repeating: "]", count: depth))
        }
        _ = try JSONValue(nested(JSONValue.deepestNesting))
        #expect(throws: JSONSyntaxError.self) { try JSONValue(nested(JSONValue.deepestNesting + 2)) }
        #expect(throws: JSONSyntaxError.self) { try JSONValue(JSON(utf8: [0x22, 0xFF, 0x22])) }
    }

    @Test func membersAndElementsAreChangedInPlace() throws {
        var data: JSONValue = ["items": [["price": 1.5], ["price": 2]], "name": "x", "old": true]
        data["items"]?[0]?["price"] = 3
        data["items"]?[1]?["currency"] = "BRL"
        data["items"]?[2] = ["price": 0]
        data["items"]?[9] = "out of range"
        data["old"] = nil
        data["name"]?["first"] = "not an object"
        data["missing"]?["first"] = 1
        #expect(
            JSON(data).text
                == #"{"items":[{"price":3},{"currency":"BRL","price":2},{"price":0}],"name":"x"}"#
        )
        var nothing = JSONValue.null
        nothing["a"] = 1
        #expect(nothing == ["a": 1])
        #expect(data["items"]?[0]?["price"]?.int == 3)
        #expect(data["name"]?.string == "x")
        #expect(data["items"]?.array?.count == 3)
        #expect(data["nothing"] == nil)
    }

    @Test func namesThatOnlyLookAlikeAreTwo() throws {
        let value = try JSONValue(JSON("{\"\u{e9}\":1,\"e\u{301}\":2}"))
        #expect(value.object?.count == 2)
        #expect(value["\u{e9}"] == 1)
        #expect(value["e\u{301}"] == 2)
        #expect(try JSONValue(JSON(#"{"a":1,"a":2}"#)) == ["a": 2])
    }

    @Test func valuesOfTypesGoInAndOut() throws {
        struct Point: Codable, Equatable { var x: Int, y: Double }
        let value = try JSONValue(encoding: Point(x: 1, y: 0.5))
        #expect(value == ["x": 1, "y": 0.5])
        #expect(try value.decode(Point.self) == Point(x: 1, y: 0.5))
        #expect(JSONNumber("1x") == nil)
        #expect(JSONNumber(.infinity) == nil)
        #expect(JSONNumber("1.0")?.double == 1)
        #expect(JSONNumber("1.0")?.int == nil)
    }
}
