internal import CLibPQ

/// The rows of one statement, as they came over the wire; decoding happens where they are read.
public struct PostgresRows: Sendable, RandomAccessCollection {
    public typealias Element = PostgresRow
    public typealias Index = Int

    @usableFromInline let result: PostgresResult
    public let startIndex = 0
    public let endIndex: Int

    init(_ result: PostgresResult) {
        self.result = result
        endIndex = result.rowCount
    }

    @inlinable
    public subscript(position: Int) -> PostgresRow {
        precondition(position >= 0 && position < endIndex, "there is no such row")
        return PostgresRow(result: result, index: position)
    }

    public var columnNames: [String] {
        (0..<result.columnCount).map { result.columnName($0) }
    }

    /// How many rows the statement's command tag reports as inserted, updated, deleted, selected …
    public var affectedRows: Int { result.affectedRows }

    /// The server's tag, such as `INSERT 0 1`.
    public var commandTag: String { result.commandTag }

    /// The only row.
    /// - Throws: ``PostgresError/decoding(_:)`` where there is none or several.
    public func single() throws -> PostgresRow {
        guard count == 1 else {
            throw PostgresError.decoding(
                PostgresDecodingError(
                    column: "0",
                    typeOID: 0,
                    target: "one row",
                    reason: "the statement returned \(count) rows"
                )
            )
        }
        return self[0]
    }
}

/// Owns a PGresult.
///
/// `@unchecked Sendable`: libpq never changes a result once PQgetResult has returned it, all functions used here only
/// read it, and it is cleared once, when the last reference is gone.
@usableFromInline
final class PostgresResult: @unchecked Sendable {
    private let pointer: OpaquePointer
    @usableFromInline let rowCount: Int
    @usableFromInline let columnCount: Int

    init(_ pointer: OpaquePointer) {
        self.pointer = pointer
        rowCount = Int(PQntuples(pointer))
        columnCount = Int(PQnfields(pointer))
    }

    deinit {
        PQclear(pointer)
    }

    @usableFromInline
    func cell(row: Int, column: Int) -> PostgresCell {
        let (row, column) = (Int32(row), Int32(column))
        let type = PQftype(pointer, column)
        if PQgetisnull(pointer, row, column) != 0 { return PostgresCell(typeOID: type, bytes: nil) }
        let start = UnsafeRawPointer(PQgetvalue(pointer, row, column))
        return PostgresCell(
            typeOID: type,
            bytes: UnsafeRawBufferPointer(start: start, count: Int(PQgetlength(pointer, row, column)))
        )
    }

    func byteCount(row: Int, column: Int) -> Int {
        Int(PQgetlength(pointer, Int32(row), Int32(column)))
    }

    func isNull(row: Int, column: Int) -> Bool {
        PQgetisnull(pointer, Int32(row), Int32(column)) != 0
    }

    func typeOID(_ column: Int) -> UInt32 {
        PQftype(pointer, Int32(column))
    }

    func columnName(_ column: Int) -> String {
        PQfname(pointer, Int32(column)).map { String(cString: $0) } ?? "?"
    }

    /// Compared byte by byte: PQfnumber would fold case as SQL does.
    func columnIndex(_ name: String) -> Int? {
        (0..<columnCount).first { column in
            guard let candidate = PQfname(pointer, Int32(column)) else { return false }
            return name.withCString { wanted in
                var offset = 0
                while wanted[offset] == candidate[offset] {
                    if wanted[offset] == 0 { return true }
                    offset += 1
                }
                return false
            }
        }
    }

    var commandTag: String {
        PQcmdStatus(pointer).map { String(cString: $0) } ?? ""
    }

    var affectedRows: Int {
        PQcmdTuples(pointer).flatMap { Int(String(cString: $0)) } ?? 0
    }
}

/// One row. It keeps the memory of all rows of its statement alive.
public struct PostgresRow: Sendable {
    @usableFromInline let result: PostgresResult
    @usableFromInline let index: Int

    @usableFromInline
    init(result: PostgresResult, index: Int) {
        self.result = result
        self.index = index
    }

    public var columnCount: Int { result.columnCount }

    /// - Throws: ``PostgresError/decoding(_:)``.
    @inlinable
    public func decode<T: PostgresDecodable>(_ type: T.Type = T.self, at column: Int) throws -> T {
        guard column >= 0 && column < result.columnCount else { throw missing(String(column), T.self) }
        do {
            return try T.decode(result.cell(row: index, column: column))
        } catch {
            throw failed(column, T.self, error)
        }
    }

    /// - Throws: ``PostgresError/decoding(_:)``.
    public func decode<T: PostgresDecodable>(_ type: T.Type = T.self, named column: String) throws -> T {
        guard let position = result.columnIndex(column) else { throw missing(column, T.self) }
        return try decode(type, at: position)
    }

    /// The columns in their order: `let (id, name) = try row.decode(Int64.self, String?.self)`.
    /// - Throws: ``PostgresError/decoding(_:)``, also where the row has another number of columns.
    @inlinable
    public func decode<each T: PostgresDecodable>(_ types: repeat (each T).Type) throws -> (repeat each T) {
        var next = 0
        func column<U: PostgresDecodable>(_ type: U.Type) throws -> U {
            defer { next += 1 }
            return try decode(type, at: next)
        }
        let values = (repeat try column((each T).self))
        guard next == result.columnCount else { throw missing(String(next), (repeat each T).self) }
        return values
    }

    public func isNull(at column: Int) -> Bool {
        precondition(column >= 0 && column < result.columnCount, "there is no such column")
        return result.isNull(row: index, column: column)
    }

    /// How many bytes the value has on the wire; 0 where it is NULL.
    public func byteCount(at column: Int) -> Int {
        precondition(column >= 0 && column < result.columnCount, "there is no such column")
        return result.byteCount(row: index, column: column)
    }

    /// The value's bytes as they came over the wire, valid during `body`; empty where it is NULL.
    @inlinable
    public func withBytes<R>(at column: Int, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        precondition(column >= 0 && column < result.columnCount, "there is no such column")
        return try withExtendedLifetime(result) {
            try body(result.cell(row: index, column: column).bytes ?? UnsafeRawBufferPointer(start: nil, count: 0))
        }
    }

    @usableFromInline
    func missing(_ column: String, _ target: Any.Type) -> PostgresError {
        .decoding(
            PostgresDecodingError(
                column: column,
                typeOID: 0,
                target: "\(target)",
                reason: "the row has \(result.columnCount) columns: \((0..<result.columnCount).map(result.columnName))"
            )
        )
    }

    @usableFromInline
    func failed(_ column: Int, _ target: Any.Type, _ failure: PostgresCellFailure) -> PostgresError {
        let type = result.typeOID(column)
        return .decoding(
            PostgresDecodingError(
                column: result.columnName(column),
                typeOID: type,
                target: "\(target)",
                reason: failure.reason(typeOID: type)
            )
        )
    }
}
