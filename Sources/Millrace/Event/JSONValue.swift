/// A JSON document taken apart, to be looked at and changed in place.
///
///     var data = try JSONValue(event.data)
///     data["currency"] = "BRL"
///     data["items"]?[0]?["price"] = data["price"]
///
/// Numbers stay exactly what was written. What is only passed on is better kept as ``JSON``, and what has a Swift type decoded as it.
public enum JSONValue: Sendable, Hashable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    /// Arrays and objects within each other, at the most: deeper documents are refused.
    public static let deepestNesting = 512

    /// Throws ``JSONSyntaxError`` where it is no JSON.
    public init(_ json: JSON) throws {
        self = try JSONValueParser.parse(json.utf8)
    }

    /// Throws `EncodingError` where the value has no JSON.
    public init(encoding value: some Encodable) throws {
        try self.init(JSON(encoding: value))
    }

    /// The document as a value. Throws `DecodingError` where it does not fit.
    public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        try JSON(self).decode(type)
    }
}

/// Text that should have been JSON and is not.
public struct JSONSyntaxError: Error, Sendable, Hashable, CustomStringConvertible {
    /// In bytes from the beginning.
    public let offset: Int
    public let reason: String

    public var description: String { "no JSON at byte \(offset): \(reason)" }
}

extension JSONValue {
    public var isNull: Bool { self == .null }

    public var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    public var number: JSONNumber? {
        if case .number(let value) = self { value } else { nil }
    }

    public var string: String? {
        if case .string(let value) = self { value } else { nil }
    }

    public var array: [JSONValue]? {
        if case .array(let value) = self { value } else { nil }
    }

    public var object: JSONObject? {
        if case .object(let value) = self { value } else { nil }
    }

    /// nil where it is no whole number, or too large.
    public var int: Int? { number?.int }
    public var double: Double? { number?.double }

    /// A member of an object, nil where there is none or this is no object. Setting nil takes it away.
    ///
    /// Setting a member of null makes an object of it. Setting one of anything else that is no object changes nothing.
    public subscript(name: String) -> JSONValue? {
        get { object?[name] }
        set {
            switch self {
            case .object(var object):
                // Let go of it first, or it would be copied.
                self = .null
                object[name] = newValue
                self = .object(object)
            case .null where newValue != nil: self = .object([name: newValue ?? .null])
            case .null, .bool, .number, .string, .array: return
            }
        }
    }

    /// An element of an array, nil where there is none or this is no array. Setting one that is not there changes nothing, but for the one
    /// behind the last, which is added; setting nil takes it out.
    public subscript(index: Int) -> JSONValue? {
        get {
            guard let array, array.indices.contains(index) else { return nil }
            return array[index]
        }
        set {
            guard case .array(var array) = self, index >= 0, index <= array.count else { return }
            self = .null
            if let newValue {
                if index == array.count { array.append(newValue) } else { array[index] = newValue }
            } else if index < array.count {
                array.remove(at: index)
            }
            self = .array(array)
        }
    }
}

extension JSONValue: ExpressibleByBooleanLiteral, ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int) { self = .number(JSONNumber(value)) }
    public init(floatLiteral value: Double) {
        guard let number = JSONNumber(value) else { preconditionFailure("\(value) is no number to JSON") }
        self = .number(number)
    }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        var object = JSONObject()
        for (name, value) in elements { object[name] = value }
        self = .object(object)
    }
}

extension JSON {
    /// The text of a value, the members of objects sorted by their names.
    public init(_ value: JSONValue) {
        var utf8: [UInt8] = []
        value.write(to: &utf8)
        self.init(utf8: utf8)
    }
}

extension JSONValue {
    fileprivate func write(to utf8: inout [UInt8]) {
        switch self {
        case .null: utf8 += "null".utf8
        case .bool(let value): utf8 += (value ? "true" : "false").utf8
        case .number(let number): utf8 += number.text.utf8
        case .string(let text): JSONValue.write(text, to: &utf8)
        case .array(let elements):
            utf8.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { utf8.append(UInt8(ascii: ",")) }
                element.write(to: &utf8)
            }
            utf8.append(UInt8(ascii: "]"))
        case .object(let object):
            utf8.append(UInt8(ascii: "{"))
            for (index, name) in object.members.keys.sorted().enumerated() {
                if index > 0 { utf8.append(UInt8(ascii: ",")) }
                JSONValue.write(name.text, to: &utf8)
                utf8.append(UInt8(ascii: ":"))
                object.members[name]?.write(to: &utf8)
            }
            utf8.append(UInt8(ascii: "}"))
        }
    }

    private static func write(_ text: String, to utf8: inout [UInt8]) {
        utf8.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                utf8.append(UInt8(ascii: "\\"))
                utf8.append(byte)
            case 0..<0x20:
                let digits = String(byte, radix: 16)
                utf8 += "\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)".utf8
            default: utf8.append(byte)
            }
        }
        utf8.append(UInt8(ascii: "\""))
    }
}
