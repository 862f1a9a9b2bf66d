/// Numbers byte strings in the order they are first seen: an import's streams and names, of which there are few among many
/// events. A lookup allocates nothing.
struct ImportNames: Sendable {
    private var bytes: [UInt8] = []
    private var ends: [Int] = []
    /// Open addressing: 0 is free, else a number and 1. Never more than half full.
    private var slots = [Int32](repeating: 0, count: 64)

    var count: Int { ends.count }

    subscript(number: Int) -> ArraySlice<UInt8> { bytes[(number == 0 ? 0 : ends[number - 1])..<ends[number]] }

    /// The number of `name`, a new one where it has none.
    mutating func number(of name: UnsafeRawBufferPointer) -> Int {
        if ends.count * 2 >= slots.count { grow() }
        var slot = self.slot(of: name)
        while slots[slot] != 0 {
            let number = Int(slots[slot]) - 1
            if isEqual(number, name) { return number }
            slot = (slot + 1) & (slots.count - 1)
        }
        bytes.append(contentsOf: name)
        ends.append(bytes.count)
        slots[slot] = Int32(ends.count)
        return ends.count - 1
    }

    private func isEqual(_ number: Int, _ name: UnsafeRawBufferPointer) -> Bool {
        let start = number == 0 ? 0 : ends[number - 1]
        guard ends[number] - start == name.count else { return false }
        return bytes.withUnsafeBytes { UnsafeRawBufferPointer(rebasing: $0[start..<ends[number]]).elementsEqual(name) }
    }

    private func slot(of name: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(bytes: name)
        return hasher.finalize() & (slots.count - 1)
    }

    private mutating func grow() {
        slots = [Int32](repeating: 0, count: slots.count * 2)
        for number in 0..<ends.count {
            var slot = bytes.withUnsafeBytes { bytes in
                let start = number == 0 ? 0 : ends[number - 1]
                return self.slot(of: UnsafeRawBufferPointer(rebasing: bytes[start..<ends[number]]))
            }
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = Int32(number + 1)
        }
    }
}
