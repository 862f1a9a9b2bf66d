/// The rows of blocks, with a look at the one behind each.
struct LedgerBlockSource {
    private var rows: [LedgerBlockRow] = []
    private var taken = 0
    private var next: Int
    private let last: Int
    private var isExhausted = false

    init(next: Int, last: Int) {
        self.next = next
        self.last = last
    }

    mutating func take(_ reader: LedgerVerificationReader) async throws -> (LedgerBlockRow, LedgerBlockRow?)? {
        if taken + 1 >= rows.count, !isExhausted {
            let more = try await reader.blocks(from: next, to: last)
            rows = Array(rows[taken...]) + more
            taken = 0
            isExhausted = more.count < LedgerVerificationReader.blocksAtOnce
            if let number = more.last?.block.number { next = number + 1 }
        }
        guard taken < rows.count else { return nil }
        defer { taken += 1 }
        return (rows[taken], taken + 1 < rows.count ? rows[taken + 1] : nil)
    }
}
