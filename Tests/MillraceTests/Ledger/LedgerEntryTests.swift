import Foundation
import Testing

@testable import Millrace

@Suite("An entry of the ledger")
struct LedgerEntryTests {
    private static let bare: [[UInt8]?] = [
        [0, 0, 0, 0, 0, 0, 1, 2], Array(0x10...0x1F), Array("opened".utf8), Array("account".utf8), Array("a-é".utf8),
        [0, 0, 0, 7], Array("\u{1}{\"b\": 1}".utf8), nil, [0, 2, 0xE7, 0x60, 0x1C, 0x08, 0x20, 0],
        [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE], nil, nil, nil, nil,
    ]
    private static let bareHex = """
        01 0000000000000102 101112131415161718191a1b1c1d1e1f 00000006 6f70656e6564 00000007 6163636f756e74
        00000004 612dc3a9 00000007 00000008 7b2262223a20317d 00 0002e7601c082000 fffffffffffffffe 00 00
        """
    private static let nullHashesHex = " 00 00"

    private static func hex(_ bytes: some Sequence<UInt8>) -> String { LedgerText.hex(bytes) }
    private static func packed(_ hex: String) -> String { hex.filter { !$0.isWhitespace } }

    private func encoded(_ values: [[UInt8]?]) throws -> LedgerEntryBuffer {
        var buffer = LedgerEntryBuffer()
        try buffer.encode(values)
        return buffer
    }

    @Test("has these bytes")
    func goldenBytes() throws {
        var buffer = try encoded(Self.bare)
        #expect(Self.hex(buffer.entry) == Self.packed(Self.bareHex + Self.nullHashesHex))
        #expect(buffer.position == 0x102)
        let canonical = try #require(bytes(Self.packed(Self.bareHex)))
        let previous = LedgerHash(hashing: Array("before".utf8))
        #expect(buffer.chainHash(after: previous) == LedgerHash(hashing: previous.bytes + canonical))
        #expect(buffer.leafHash == LedgerHash(hashing: [0] + canonical + [0, 0]))
        #expect(buffer.leafHash.hex == "f3ce7937fea15de7e730d555787ef0189e2086bde813c861c01cd7045ca50be6")
        #expect(
            buffer.chainHash(after: .zero).hex == "bffe26f44680684b04e00e5a457f765a963216a97f131fb0cee9c27719fff231"
        )
        #expect(Self.hex(buffer.columnDigests) == "4df06520f6d98516ae85785a5813ff8063645813581358135813")
    }

    @Test("has these where nothing is NULL")
    func goldenBytesOfAll() throws {
        var values = Self.bare
        values[7] = Array("\u{1}{}".utf8)
        values[10] = [0, 255]
        values[11] = Array("x/y".utf8)
        values[12] = [UInt8](repeating: 0, count: 32)
        values[13] = [UInt8](repeating: 0xAB, count: 32)
        let buffer = try encoded(values)
        let expected = """
            01 0000000000000102 101112131415161718191a1b1c1d1e1f 00000006 6f70656e6564 00000007 6163636f756e74
            00000004 612dc3a9 00000007 00000008 7b2262223a20317d 01 00000002 7b7d 0002e7601c082000 fffffffffffffffe
            01 00000002 00ff 01 00000003 782f79
            01 00000020 \(String(repeating: "00", count: 32)) 01 00000020 \(String(repeating: "ab", count: 32))
            """
        #expect(Self.hex(buffer.entry) == Self.packed(expected))
        #expect(buffer.hash(in: .previousHash) == .zero)
        #expect(buffer.hash(in: .currentHash)?.hex == String(repeating: "ab", count: 32))
        let entry = try LedgerEntry(bytes: buffer.entry)
        #expect(entry.payload == [0, 255] && entry.contentType == "x/y" && entry.metadata == JSON("{}"))
        #expect(entry.previousHash == .zero && !entry.isLinked)
    }

    @Test("is read back field by field")
    func roundTrip() throws {
        let entry = try LedgerEntry(bytes: encoded(Self.bare).entry)
        #expect(entry.position == Position(0x102))
        #expect(entry.id.uuidString == "10111213-1415-1617-1819-1A1B1C1D1E1F")
        #expect(entry.type == "opened" && entry.stream == StreamID("account", "a-é") && entry.version == 7)
        #expect(entry.data == JSON(#"{"b": 1}"#) && entry.metadata == nil)
        #expect(entry.payload == nil && entry.contentType == nil)
        #expect(entry.createdAt == Date(timeIntervalSinceReferenceDate: -366 * 86_400 - 0.000_002))
        #expect(entry.previousHash == nil && entry.currentHash == nil && entry.isLinked)
        let again = try LedgerEntry(
            position: entry.position,
            id: entry.id,
            type: entry.type,
            stream: entry.stream,
            version: entry.version,
            data: entry.data,
            occurredAt: entry.occurredAt,
            createdAt: entry.createdAt
        )
        #expect(again == entry)
        #expect(try encoded(Self.bare).leafHash == entry.leafHash)
        let linked = try entry.linked(after: .zero)
        #expect(linked.isLinked && linked.currentHash == entry.chainHash(after: .zero))
        #expect(try !entry.linked(after: .zero).linked(after: linked.leafHash).bytes.elementsEqual(linked.bytes))
    }

    @Test("is refused cut short at any byte, or with one more")
    func cutEntries() throws {
        let bytes = try encoded(Self.bare).entry
        for count in 0..<bytes.count {
            #expect(throws: LedgerEntryError.self, "\(count) bytes") { try LedgerEntry(bytes: Array(bytes[..<count])) }
        }
        #expect(throws: LedgerEntryError.goesOn(bytes: 1)) { try LedgerEntry(bytes: bytes + [0]) }
        #expect(throws: LedgerEntryError.unknownForm(2)) { try LedgerEntry(bytes: [2] + bytes.dropFirst()) }
        #expect(throws: LedgerEntryError.endsEarly(field: "form")) { try LedgerEntry(bytes: []) }
    }

    @Test("has another leaf and another digest for its column, whichever byte is another")
    func everyByteCounts() throws {
        let bytes = try encoded(Self.bare).entry
        let leaf = MerkleTree.leafHash(of: bytes)
        for index in bytes.indices {
            var other = bytes
            other[index] ^= 0x40
            // Some are entries still, of another event.
            if let entry = try? LedgerEntry(bytes: other) { #expect(entry.leafHash != leaf && entry.bytes == other) }
        }
        let digests = try encoded(Self.bare).columnDigests
        #expect(digests.count == LedgerColumn.digestBytes)
        for (place, column) in LedgerColumn.allCases.enumerated().dropFirst() {
            var values = Self.bare
            values[place] = values[place].map { $0.dropLast() + [$0.last! ^ 1] } ?? Array("\u{1}".utf8)
            #expect(LedgerColumn.differing(digests, try encoded(values).columnDigests) == [column])
        }
    }

    @Test("tells NULL from nothing")
    func emptyIsNotNull() throws {
        var values = Self.bare
        values[10] = []
        let buffer = try encoded(values)
        #expect(buffer.entry != (try encoded(Self.bare).entry))
        #expect(!buffer.isNull(.payload) && buffer.isNull(.contentType))
        #expect(try LedgerEntry(bytes: buffer.entry).payload == [])
    }

    @Test("is not made of what columns cannot have, and the buffer is good for the next one")
    func badColumns() throws {
        var buffer = LedgerEntryBuffer()
        for (place, column) in LedgerColumn.allCases.enumerated() {
            switch column.form {
            case .fixed, .sized(false, _):
                var values = Self.bare
                values[place] = nil
                #expect(throws: LedgerEntryError.invalid(field: column.rawValue)) { try buffer.encode(values) }
            case .sized: break
            }
        }
        for (place, value) in [(0, [0]), (6, Array("{}".utf8)), (6, []), (7, [2, 0x7B, 0x7D])] as [(Int, [UInt8])] {
            var values = Self.bare
            values[place] = value
            #expect(throws: LedgerEntryError.invalid(field: LedgerColumn.allCases[place].rawValue)) {
                try buffer.encode(values)
            }
        }
        try buffer.encode(Self.bare)
        #expect(try buffer.entry == encoded(Self.bare).entry)
    }

    @Test("may be larger than the buffer was, and smaller again")
    func growth() throws {
        var buffer = LedgerEntryBuffer()
        for count in [1, 4_000, 5_000, 100_000, 0] {
            var values = Self.bare
            values[6] = [1, 0x22] + [UInt8](repeating: 0x78, count: count) + [0x22]
            try buffer.encode(values)
            #expect(try LedgerEntry(bytes: buffer.entry).data.utf8.count == count + 2)
            #expect(try buffer.leafHash == LedgerEntry(bytes: buffer.entry).leafHash)
        }
    }

    private func bytes(_ hex: String) -> [UInt8]? {
        let digits = Array(hex)
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(String(digits[$0...($0 + 1)]), radix: 16) ?? 0 }
    }
}

@Suite("A block of the ledger")
struct LedgerBlockTests {
    @Test("has the hash of its fields")
    func hash() {
        let (previous, root) = (LedgerHash(hashing: [1]), LedgerHash(hashing: [2]))
        let block = LedgerBlock(
            number: 17,
            previous: previous,
            first: Position(256),
            last: Position(513),
            size: 1_048_576,
            root: root,
            sealedAt: -2
        )
        var bytes: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 0, 17] + previous.bytes
        bytes += [0, 0, 0, 0, 0, 0, 1, 0] + [0, 0, 0, 0, 0, 0, 2, 1] + [0, 0, 0, 0, 0, 16, 0, 0] + root.bytes
        bytes += [255, 255, 255, 255, 255, 255, 255, 254]
        #expect(block.hash == LedgerHash(hashing: bytes))
    }
}
