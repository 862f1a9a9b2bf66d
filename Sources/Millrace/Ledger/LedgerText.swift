#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The text that keys, notes and proofs are made of. Each value has one form: what could be written otherwise is refused, so that a file with any
/// byte changed is another file.
enum LedgerText {
    static func base64(_ bytes: some Collection<UInt8>) -> String { Data(bytes).base64EncodedString() }

    /// nil where the text is not what ``base64(_:)`` gives.
    static func base64Decoded(_ text: some Collection<UInt8>) -> [UInt8]? {
        // The last digit may have bits that mean nothing, which Foundation passes over.
        guard let data = Data(base64Encoded: Data(text)), data.base64EncodedString().utf8.elementsEqual(text) else {
            return nil
        }
        return Array(data)
    }

    static func hex(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// Of a key: eight digits.
    static func hex(_ number: UInt32) -> String { hex(withUnsafeBytes(of: number.bigEndian) { Array($0) }) }

    /// nil where it is no number, is negative, or has more zeros or signs than it needs.
    static func number(_ text: some Collection<UInt8>) -> Int? {
        guard let number = Int(String(decoding: text, as: UTF8.self)), number >= 0,
            String(number).utf8.elementsEqual(text)
        else { return nil }
        return number
    }

    /// nil unless it is UTF-8 with no control characters but newlines.
    static func isPlain(_ bytes: some Collection<UInt8>) -> Bool {
        String(validating: bytes, as: UTF8.self) != nil && bytes.allSatisfy { $0 >= 0x20 || $0 == newline }
    }

    static let newline = UInt8(ascii: "\n")

    /// Without their newlines; nil where the last one has none.
    static func lines(_ text: ArraySlice<UInt8>) -> [ArraySlice<UInt8>]? {
        guard text.last == newline else { return nil }
        return text.dropLast().split(separator: newline, omittingEmptySubsequences: false)
    }

    /// The text up to its first empty line, and what stands behind that.
    static func cut(_ text: ArraySlice<UInt8>) -> (before: ArraySlice<UInt8>, after: ArraySlice<UInt8>)? {
        guard let end = text.indices.dropLast().first(where: { text[$0] == newline && text[$0 + 1] == newline }) else {
            return nil
        }
        return (text[...end], text[(end + 2)...])
    }

    /// As a program compares them: Swift's strings are equal when they look alike.
    static func areEqual(_ left: String, _ right: String) -> Bool { left.utf8.elementsEqual(right.utf8) }
}
