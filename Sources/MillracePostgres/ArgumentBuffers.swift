/// The arrays that libpq takes a statement's parameters in, kept between statements.
struct ArgumentBuffers {
    /// Memory that a large parameter took is given back beyond this.
    static let keptBytes = 1 << 20

    private var bytes = WireBuffer()
    private var types: [UInt32] = []
    /// Where each value begins in `bytes`; nil for NULL.
    private var offsets: [Int?] = []
    private var values: [UnsafePointer<CChar>?] = []
    private var lengths: [Int32] = []
    private var formats: [Int32] = []

    mutating func withArguments<R>(
        _ parameters: [PostgresValue],
        _ body: (
            _ count: Int32, _ types: [UInt32], _ values: [UnsafePointer<CChar>?], _ lengths: [Int32], _ formats: [Int32]
        ) -> R
    ) -> R {
        bytes.clear(keeping: ArgumentBuffers.keptBytes)
        types.removeAll(keepingCapacity: true)
        offsets.removeAll(keepingCapacity: true)
        values.removeAll(keepingCapacity: true)
        lengths.removeAll(keepingCapacity: true)
        formats.removeAll(keepingCapacity: true)
        for parameter in parameters {
            types.append(parameter.typeOID)
            formats.append(parameter.format)
            if case .null = parameter.payload {
                offsets.append(nil)
                lengths.append(0)
                continue
            }
            let start = bytes.count
            offsets.append(start)
            parameter.encode(into: &bytes)
            lengths.append(Int32(clamping: bytes.count - start))
            // Text is taken up to its NUL, and an empty value needs an address all the same.
            bytes.append(0 as UInt8)
        }
        return bytes.bytes.withUnsafeBytes { memory in
            for offset in offsets {
                values.append(offset.map { memory.baseAddress!.advanced(by: $0).assumingMemoryBound(to: CChar.self) })
            }
            return body(Int32(parameters.count), types, values, lengths, formats)
        }
    }
}
