import Millrace
import Testing

@testable import MillraceCLI

@Suite("An input is cut into lines")
struct LineSplitterTests {
    private func lines(_ text: String, piece: Int, longest: Int = LineSplitter.longestLine) -> (
        [LineSplitter.Line], [UInt8]
    ) {
        var splitter = LineSplitter(longest: longest)
        var lines: [LineSplitter.Line] = []
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: piece) {
            while let line = splitter.next() { lines.append(line) }
            splitter.feed(Array(bytes[start..<min(bytes.count, start + piece)]))
        }
        while let line = splitter.next() { lines.append(line) }
        while let line = splitter.finish() { lines.append(line) }
        return (lines, splitter.hash.digest())
    }

    @Test("wherever the pieces end", arguments: [1, 2, 3, 7, 100])
    func pieces(piece: Int) {
        let (lines, hash) = lines("one\n\nthrée\r\n \t\nlast", piece: piece)
        #expect(lines.map { String(decoding: $0.bytes, as: UTF8.self) } == ["one", "", "thrée\r", " \t", "last"])
        #expect(lines.map(\.number) == [1, 2, 3, 4, 5])
        #expect(lines.map(\.isBlank) == [false, true, false, true, false])
        #expect(hash == RunningHash.digest(of: Array("one\n\nthrée\r\n \t\nlast\n".utf8)))
    }

    @Test("and a missing last newline makes no difference to the hash")
    func lastNewline() {
        #expect(lines("a\nb", piece: 2).1 == lines("a\nb\n", piece: 3).1)
        #expect(lines("a\nb", piece: 2).1 != lines("a\nb\n\n", piece: 3).1)
    }

    @Test("of which one that is too long keeps its beginning and counts the rest", arguments: [1, 4, 5, 6, 11, 64])
    func tooLong(piece: Int) {
        let text = "short\n" + String(repeating: "x", count: 23) + "\nnext\n"
        let (lines, hash) = lines(text, piece: piece, longest: 10)
        #expect(lines.map(\.bytes.count) == [5, 10, 4])
        #expect(lines.map(\.cut) == [0, 13, 0])
        #expect(hash == RunningHash.digest(of: Array(text.utf8)))
    }

    @Test("also where the input ends in one that is too long")
    func tooLongAtTheEnd() {
        let (lines, hash) = lines(String(repeating: "y", count: 25), piece: 4, longest: 10)
        #expect(lines.map(\.cut) == [15])
        #expect(hash == RunningHash.digest(of: Array(repeating: 0x79, count: 25) + [0x0A]))
    }

    @Test("and no line is made of nothing")
    func empty() {
        #expect(lines("", piece: 1).0.isEmpty)
        #expect(lines("a\n", piece: 1).0.count == 1)
    }
}

@Suite("SHA-256")
struct SHA256Tests {
    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }

    @Test(
        "gives the digests of FIPS 180-4",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
        ]
    )
    func vectors(text: String, digest: String) {
        #expect(hex(RunningHash.digest(of: Array(text.utf8))) == digest)
    }

    @Test("of a million letters, in pieces of any size")
    func million() {
        var hash = RunningHash()
        var left = 1_000_000
        var size = 1
        while left > 0 {
            let count = min(size, left)
            hash.update([UInt8](repeating: 0x61, count: count))
            left -= count
            size = size * 3 % 257 + 1
        }
        #expect(hex(hash.digest()) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }
}
