/// One `.sql` file of the schema, compiled into the library.
struct SchemaScript: Sendable {
    /// The file's name without its ending.
    let name: String
    let sql: String

    init(_ name: String, _ bytes: [UInt8]) {
        self.name = name
        self.sql = String(decoding: bytes, as: UTF8.self)
    }
}
