import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The data that is stored: the life of orders, about 200 bytes of JSON and 60 of metadata an event, the same in every run.
struct BenchOrders: Sendable {
    struct Body: Sendable {
        let type: String
        let data: JSON
        let metadata: JSON
    }

    /// Made once, outside of what is measured, and used over and over.
    static let poolSize = 6 * 1024
    /// The types of an order's events, one behind the other: six events a stream.
    static let life = [
        "order.created", "payment.authorized", "inventory.reserved", "payment.completed", "order.packed",
        "order.shipped",
    ]

    private let bodies: [Body]

    init(seed: UInt64) {
        var random = SplitMix64(state: seed)
        bodies = (0..<BenchOrders.poolSize).map { number in BenchOrders.body(number, &random) }
    }

    subscript(number: Int) -> Body { bodies[number % BenchOrders.poolSize] }

    private static func body(_ number: Int, _ random: inout SplitMix64) -> Body {
        let cents = Int.random(in: 199...99_999, using: &random)
        let lines = (1...2).map { _ in
            """
            {"sku":"A-\(Int.random(in: 10_000...99_999, using: &random))",\
            "quantity":\(Int.random(in: 1...9, using: &random)),"cents":\(Int.random(in: 199...9_999, using: &random))}
            """
        }
        let data = """
            {"order":"o-\(Int.random(in: 1_000_000...9_999_999, using: &random))",\
            "customer":"c-\(Int.random(in: 10_000...99_999, using: &random))","currency":"EUR","terms":"net30","cents":\(cents),\
            "lines":[\(lines.joined(separator: ","))],"channel":"\(["web", "app", "shop"][number % 3])"}
            """
        let trace = String(random.next() | 1 << 63, radix: 16)
        return Body(
            type: life[number % life.count],
            data: JSON(data),
            metadata: JSON("{\"correlation_id\":\"\(trace)\",\"source\":\"checkout-\(number % 9)\"}")
        )
    }
}

/// A small generator of numbers with a seed (Steele, Lea, Flood: “Fast splittable pseudorandom number generators”, 2014).
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// The events of one writer, one after the other: which stream comes next, at which version, with what data.
struct BenchEvents: Sendable {
    /// An event as both sides need it; the bare statements are told the version.
    struct Next {
        let stream: StreamID
        let version: Int
        let body: BenchOrders.Body
    }

    private static let fewStreams = 10
    private static let eventsEach = BenchOrders.life.count

    private let orders: BenchOrders
    private let shape: StreamShape
    private let name: String
    private let type: String
    private var number = 0
    private var stream: StreamID

    /// - Parameter name: of the writer, one that no other writer of the database has.
    init(_ orders: BenchOrders, _ shape: StreamShape, writer name: String, of type: String = "order") {
        self.orders = orders
        self.shape = shape
        self.name = name
        self.type = type
        stream = StreamID(type, "\(name)-0")
    }

    mutating func next() -> Next {
        let (streamNumber, version) =
            switch shape {
            case .sixEach: (number / BenchEvents.eventsEach, number % BenchEvents.eventsEach + 1)
            case .few: (number % BenchEvents.fewStreams, number / BenchEvents.fewStreams + 1)
            case .new: (number, 1)
            }
        if shape != .sixEach || version == 1 { stream = StreamID(type, "\(name)-\(streamNumber)") }
        defer { number += 1 }
        return Next(stream: stream, version: version, body: orders[number])
    }

    mutating func request(of count: Int) -> AppendRequest {
        var request = AppendRequest()
        for _ in 0..<count {
            let next = next()
            request.append([next.event], to: next.stream)
        }
        return request
    }
}

extension BenchEvents.Next {
    var event: NewEvent { NewEvent(type: body.type, data: body.data, metadata: body.metadata) }

    /// The event as a line of an import.
    var line: [UInt8] {
        var line = Array(
            """
            {"event_type":"\(body.type)","aggregate_type":"\(stream.aggregateType)","aggregate_id":"\(stream.aggregateID)","event_data":
            """.utf8
        )
        line += body.data.utf8
        line += Array(",\"metadata\":".utf8)
        line += body.metadata.utf8
        line.append(UInt8(ascii: "}"))
        return line
    }
}
