/// A number of a JSON document, exactly as it is written: `0.10` and 20 digits stay what they are.
///
/// Two are equal where they are written alike; 1 and 1.0 are not.
public struct JSONNumber: Sendable, Hashable, CustomStringConvertible {
    public let text: String

    /// nil where the text is no number to JSON.
    public init?(_ text: String) {
        guard JSONNumber.isNumber(text.utf8) else { return nil }
        self.text = text
    }

    public init(_ value: some FixedWidthInteger) { text = String(value) }

    /// nil for what is no number or infinite, which JSON cannot say.
    public init?(_ value: Double) {
        guard value.isFinite else { return nil }
        text = value.description
    }

    init(unchecked text: String) { self.text = text }

    /// nil where it has a fraction or an exponent, or is too large.
    public var int: Int? { Int(text) }
    public var double: Double? { Double(text) }
    public var description: String { text }

    /// Which part of a number its last character belongs to.
    private enum Place { case start, sign, zero, whole, point, fraction, exponent, exponentSign, exponentDigits }

    static func isNumber(_ bytes: some Sequence<UInt8>) -> Bool {
        var place = Place.start
        for byte in bytes {
            let isDigit = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            switch (place, byte) {
            case (.start, UInt8(ascii: "-")): place = .sign
            case (.start, UInt8(ascii: "0")), (.sign, UInt8(ascii: "0")): place = .zero
            case (.start, _) where isDigit, (.sign, _) where isDigit, (.whole, _) where isDigit: place = .whole
            case (.zero, UInt8(ascii: ".")), (.whole, UInt8(ascii: ".")): place = .point
            case (.point, _) where isDigit, (.fraction, _) where isDigit: place = .fraction
            case (.zero, UInt8(ascii: "e")), (.zero, UInt8(ascii: "E")), (.whole, UInt8(ascii: "e")),
                (.whole, UInt8(ascii: "E")), (.fraction, UInt8(ascii: "e")), (.fraction, UInt8(ascii: "E")):
                place = .exponent
            case (.exponent, UInt8(ascii: "+")), (.exponent, UInt8(ascii: "-")): place = .exponentSign
            case (.exponent, _) where isDigit, (.exponentSign, _) where isDigit, (.exponentDigits, _) where isDigit:
                place = .exponentDigits
            default: return false
            }
        }
        return [.zero, .whole, .fraction, .exponentDigits].contains(place)
    }
}
