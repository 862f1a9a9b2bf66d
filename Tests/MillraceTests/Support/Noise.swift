import Millrace

extension JSON {
    /// An object that no server can compress below this many bytes.
    static func noise(atLeast bytes: Int) -> JSON {
        // Each word has 64 bits of chance and is written in at most 16 characters.
        let words = (0...bytes / 8).map { _ in String(UInt64.random(in: .min ... .max), radix: 16) }
        return JSON(#"{"noise":"\#(words.joined())"}"#)
    }
}
