/// A place in a JSON text of which only the outermost level is read.
///
/// What it cuts out as a value is one if it is JSON at all: strings and brackets are matched, the rest is for whoever parses
/// it. Each function that gives nil or false leaves the cursor anywhere.
package struct JSONCursor {
    private let bytes: UnsafeRawBufferPointer
    private var place = 0

    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    package var isAtEnd: Bool { place == bytes.count }

    package func isAt(_ byte: UInt8) -> Bool { place < bytes.count && bytes[place] == byte }

    package mutating func skipSpace() {
        while place < bytes.count, JSONCursor.isSpace(bytes[place]) { place += 1 }
    }

    package mutating func take(_ byte: UInt8) -> Bool {
        guard isAt(byte) else { return false }
        place += 1
        return true
    }

    /// With the white space behind it.
    package mutating func takeComma() -> Bool {
        guard take(UInt8(ascii: ",")) else { return false }
        skipSpace()
        return true
    }

    package mutating func takeNull() -> Bool {
        guard place + 4 <= bytes.count, bytes[place] == UInt8(ascii: "n"), bytes[place + 1] == UInt8(ascii: "u"),
            bytes[place + 2] == UInt8(ascii: "l"), bytes[place + 3] == UInt8(ascii: "l")
        else { return false }
        place += 4
        return true
    }

    /// An integer of so few digits that any type holds it.
    package mutating func takeInteger() -> Bool {
        _ = take(UInt8(ascii: "-"))
        let start = place
        while place < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[place]) { place += 1 }
        let digits = place - start
        return (1...18).contains(digits) && (digits == 1 || bytes[start] != UInt8(ascii: "0"))
    }

    /// A string of printable ASCII without escapes.
    package mutating func plainString() -> UnsafeRawBufferPointer? {
        guard take(UInt8(ascii: "\"")) else { return nil }
        let start = place
        while place < bytes.count {
            let byte = bytes[place]
            if byte == UInt8(ascii: "\"") {
                defer { place += 1 }
                return UnsafeRawBufferPointer(rebasing: bytes[start..<place])
            }
            guard byte >= 0x20, byte < 0x7F, byte != UInt8(ascii: "\\") else { return nil }
            place += 1
        }
        return nil
    }

    /// A string, decoded: where it has no escapes, the bytes it is written with; else in `scratch`, if that is large enough.
    package mutating func string(into scratch: UnsafeMutableRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard take(UInt8(ascii: "\"")) else { return nil }
        let start = place
        while place < bytes.count {
            let byte = bytes[place]
            if byte == UInt8(ascii: "\"") {
                defer { place += 1 }
                return UnsafeRawBufferPointer(rebasing: bytes[start..<place])
            }
            if byte == UInt8(ascii: "\\") { return escaped(from: start, scratch) }
            guard byte >= 0x20 else { return nil }
            place += 1
        }
        return nil
    }

    private mutating func escaped(
        from start: Int,
        _ scratch: UnsafeMutableRawBufferPointer
    ) -> UnsafeRawBufferPointer? {
        var count = place - start
        guard count <= scratch.count else { return nil }
        scratch.copyBytes(from: bytes[start..<place])
        while place < bytes.count {
            let byte = bytes[place]
            place += 1
            switch byte {
            case UInt8(ascii: "\""):
                return UnsafeRawBufferPointer(rebasing: scratch[..<count])
            case UInt8(ascii: "\\"):
                guard let scalar = escape() else { return nil }
                for unit in UTF8.encode(scalar)! {
                    guard count < scratch.count else { return nil }
                    scratch[count] = unit
                    count += 1
                }
            case 0..<0x20:
                return nil
            default:
                guard count < scratch.count else { return nil }
                scratch[count] = byte
                count += 1
            }
        }
        return nil
    }

    /// The character behind a backslash. No text in PostgreSQL holds U+0000.
    private mutating func escape() -> Unicode.Scalar? {
        guard place < bytes.count else { return nil }
        defer { place += 1 }
        switch bytes[place] {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            guard let unit = fourHexDigits(), unit != 0 else { return nil }
            guard (0xD800..<0xDC00).contains(unit) else { return Unicode.Scalar(unit) }
            guard place + 2 < bytes.count, bytes[place + 1] == UInt8(ascii: "\\"),
                bytes[place + 2] == UInt8(ascii: "u")
            else { return nil }
            place += 2
            guard let low = fourHexDigits(), (0xDC00..<0xE000).contains(low) else { return nil }
            return Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00))
        default: return nil
        }
    }

    /// Behind the `u` the cursor is at; leaves it at the last of them.
    private mutating func fourHexDigits() -> UInt32? {
        guard place + 4 < bytes.count else { return nil }
        var unit: UInt32 = 0
        for _ in 0..<4 {
            place += 1
            guard let digit = JSONCursor.hexDigit(bytes[place]) else { return nil }
            unit = unit << 4 | UInt32(digit)
        }
        return unit
    }

    /// The value that begins here, as it is written.
    package mutating func value() -> UnsafeRawBufferPointer? {
        guard place < bytes.count else { return nil }
        let start = place
        switch bytes[place] {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            guard skipNested() else { return nil }
        case UInt8(ascii: "\""):
            guard skipString() else { return nil }
        default:
            while place < bytes.count, !JSONCursor.endsScalar(bytes[place]) { place += 1 }
        }
        return place > start ? UnsafeRawBufferPointer(rebasing: bytes[start..<place]) : nil
    }

    private mutating func skipNested() -> Bool {
        var depth = 0
        while place < bytes.count {
            switch bytes[place] {
            case UInt8(ascii: "\""):
                guard skipString() else { return false }
                continue
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                if depth == 0 {
                    place += 1
                    return true
                }
            default: break
            }
            place += 1
        }
        return false
    }

    /// From its opening quote to behind its closing one.
    private mutating func skipString() -> Bool {
        place += 1
        while place < bytes.count {
            switch bytes[place] {
            case UInt8(ascii: "\\"): place += 2
            case UInt8(ascii: "\""):
                place += 1
                return true
            default: place += 1
            }
        }
        return false
    }

    package static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D
    }

    private static func endsScalar(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]") || isSpace(byte)
    }
}
