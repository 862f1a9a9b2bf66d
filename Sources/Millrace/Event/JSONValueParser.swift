/// Takes a JSON text apart, whole and strictly.
struct JSONValueParser {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var place = 0

    static func parse(_ utf8: [UInt8]) throws -> JSONValue {
        try utf8.withUnsafeBufferPointer { bytes in
            var parser = JSONValueParser(bytes)
            let value = try parser.value(depth: 0)
            parser.skipSpace()
            guard parser.place == bytes.count else { throw parser.error("something follows the document") }
            return value
        }
    }

    private init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    private func error(_ reason: String) -> JSONSyntaxError { JSONSyntaxError(offset: place, reason: reason) }

    private mutating func skipSpace() {
        while place < bytes.count, JSONValueParser.isSpace(bytes[place]) { place += 1 }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard place < bytes.count, bytes[place] == UInt8(ascii: character) else { return false }
        place += 1
        return true
    }

    private mutating func take(word: StaticString) throws {
        let end = place + word.utf8CodeUnitCount
        let expected = UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        guard end <= bytes.count, bytes[place..<end].elementsEqual(expected) else { throw error("no value") }
        place = end
    }

    private mutating func value(depth: Int) throws -> JSONValue {
        guard depth <= JSONValue.deepestNesting else {
            throw error("nested deeper than \(JSONValue.deepestNesting) levels")
        }
        skipSpace()
        guard place < bytes.count else { throw error("it ends too early") }
        switch bytes[place] {
        case UInt8(ascii: "{"): return .object(try object(depth))
        case UInt8(ascii: "["): return .array(try array(depth))
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"):
            try take(word: "true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try take(word: "false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try take(word: "null")
            return .null
        default: return .number(try number())
        }
    }

    private mutating func object(_ depth: Int) throws -> JSONObject {
        var object = JSONObject()
        place += 1
        skipSpace()
        if take("}") { return object }
        repeat {
            skipSpace()
            guard place < bytes.count, bytes[place] == UInt8(ascii: "\"") else { throw error("a name is missing") }
            let name = try string()
            skipSpace()
            guard take(":") else { throw error("a colon is missing") }
            object[name] = try value(depth: depth + 1)
            skipSpace()
        } while take(",")
        guard take("}") else { throw error("an object is not closed") }
        return object
    }

    private mutating func array(_ depth: Int) throws -> [JSONValue] {
        var array: [JSONValue] = []
        place += 1
        skipSpace()
        if take("]") { return array }
        repeat {
            array.append(try value(depth: depth + 1))
            skipSpace()
        } while take(",")
        guard take("]") else { throw error("an array is not closed") }
        return array
    }

    private mutating func number() throws -> JSONNumber {
        let start = place
        while place < bytes.count, !JSONValueParser.endsScalar(bytes[place]) { place += 1 }
        let text = bytes[start..<place]
        guard JSONNumber.isNumber(text) else {
            place = start
            throw error("no value")
        }
        return JSONNumber(unchecked: String(decoding: text, as: UTF8.self))
    }

    private static func endsScalar(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]") || isSpace(byte)
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D
    }

    // MARK: Strings

    private mutating func string() throws -> String {
        place += 1
        let start = place
        while place < bytes.count, bytes[place] != UInt8(ascii: "\""), bytes[place] != UInt8(ascii: "\\") {
            guard bytes[place] >= 0x20 else { throw error("a control character in a string") }
            place += 1
        }
        guard place < bytes.count else { throw error("a string is not closed") }
        if bytes[place] == UInt8(ascii: "\"") {
            defer { place += 1 }
            return try text(bytes[start..<place])
        }
        var decoded = Array(bytes[start..<place])
        while place < bytes.count {
            let byte = bytes[place]
            place += 1
            switch byte {
            case UInt8(ascii: "\""): return try text(decoded)
            case UInt8(ascii: "\\"): try decoded.append(contentsOf: String(escape()).utf8)
            case 0..<0x20: throw error("a control character in a string")
            default: decoded.append(byte)
            }
        }
        throw error("a string is not closed")
    }

    /// Repaired text would be another one.
    private func text(_ utf8: some Collection<UInt8>) throws -> String {
        guard let text = String(validating: utf8, as: UTF8.self) else { throw error("a string is no UTF-8") }
        return text
    }

    private mutating func escape() throws -> Unicode.Scalar {
        guard place < bytes.count else { throw error("a string is not closed") }
        let byte = bytes[place]
        place += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            let unit = try fourHexDigits()
            if (0xD800..<0xDC00).contains(unit), take("\\"), take("u") {
                let low = try fourHexDigits()
                if (0xDC00..<0xE000).contains(low),
                    let scalar = Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00))
                {
                    return scalar
                }
            } else if let scalar = Unicode.Scalar(unit) {
                return scalar
            }
            throw error("half of a surrogate pair")
        default: throw error("an unknown escape")
        }
    }

    private mutating func fourHexDigits() throws -> UInt32 {
        guard place + 4 <= bytes.count else { throw error("four digits are missing") }
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = JSONCursor.hexDigit(bytes[place]) else { throw error("four digits are missing") }
            unit = unit << 4 | UInt32(digit)
            place += 1
        }
        return unit
    }
}
