/// Rows for a COPY, encoded one behind the other: the fastest way into a table.
///
///     var rows = PostgresCopyRows()
///     for bill in bills { rows.append([.text(bill.order), .int8(bill.cents)]) }
///     try await transaction.copy(rows, into: "bills", columns: ["order_id", "cents"])
///
/// Each value has to be of its column's type exactly, as in PostgreSQL's binary form: `.int4` for an `int`, `.int8` for a `bigint`.
public struct PostgresCopyRows: Sendable {
    /// What goes to the connection at once; a longer row has a block of its own.
    static let blockBytes = 256 << 10

    private(set) var blocks: [[UInt8]] = []
    private var open: WireBuffer
    public private(set) var count = 0

    public init() {
        open = WireBuffer(capacity: PostgresCopyRows.blockBytes)
        // PGCOPY, then no flags and no extension.
        open.append(Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0x00] + [UInt8](repeating: 0, count: 8))
    }

    /// Adds a row, its values in the order of the columns.
    public mutating func append(_ values: [PostgresValue]) {
        count += 1
        open.append(Int16(clamping: values.count))
        for value in values {
            if case .null = value.payload {
                open.append(-1 as Int32)
            } else {
                let start = open.reserveLength()
                value.encode(into: &open)
                open.fillLength(at: start)
            }
        }
        guard open.count >= PostgresCopyRows.blockBytes else { return }
        blocks.append(open.bytes)
        open = WireBuffer(capacity: PostgresCopyRows.blockBytes)
    }

    fileprivate func send(to writer: PostgresCopyWriter) async throws {
        for block in blocks { try await writer.write(block) }
        // Minus one in the place of a row's number of values: the end.
        try await writer.write(open.bytes + [0xFF, 0xFF])
    }
}

extension PostgresTransaction {
    /// Stores rows in a table, which is looked up in the transaction's search_path. Nothing is sent where there are none.
    /// - Throws: ``PostgresError``.
    public func copy(_ rows: PostgresCopyRows, into table: String, columns: [String]) async throws {
        guard rows.count > 0 else { return }
        let names = columns.map(PostgresTransaction.quoted).joined(separator: ", ")
        let statement = "COPY \(PostgresTransaction.quoted(table)) (\(names)) FROM STDIN (FORMAT binary)"
        try await copyIn(statement) { writer in try await rows.send(to: writer) }
    }

    private static func quoted(_ identifier: String) -> String {
        "\"" + identifier.replacing("\"", with: "\"\"") + "\""
    }
}
