import Millrace
import MillracePostgres

/// Streams read whole, beside the same statement without Millrace's function, whose rows nobody decodes.
struct StreamScenario {
    let stage: BenchStage

    private static let select = PostgresStatement.embedded(PackageResources.bench_read_stream_sql)
    private static let short = BenchOrders.life.count

    func run() async throws -> [ContestResult] {
        try await stage.withStore { store in
            let long = StreamID("order", "long")
            try await stage.fill(store, events: stage.plan.readable / 10)
            try await fill(long, store)
            let name = try await streams(store)
            return try await stage.withClient(connections: 1) { client in
                [
                    try await stage.hold(
                        Contest(
                            scenario: .stream,
                            title: "streams of six events, one after the other",
                            measure: .latency,
                            contestants: [
                                selected(client) { name[$0 % name.count] }, read(store) { name[$0 % name.count] },
                            ]
                        )
                    ),
                    try await stage.hold(
                        Contest(
                            scenario: .stream,
                            title: "one stream of \(stage.plan.longStream.grouped) events",
                            contestants: [selected(client) { _ in long }, read(store) { _ in long }]
                        )
                    ),
                ]
            }
        }
    }

    private func fill(_ stream: StreamID, _ store: EventStore) async throws {
        var events = BenchEvents(stage.orders, .few, writer: "unused")
        for start in stride(from: 0, to: stage.plan.longStream, by: 1000) {
            let count = min(1000, stage.plan.longStream - start)
            try await store.append((0..<count).map { _ in events.next().event }, to: stream)
            stage.tally.add(Turn(appended: count))
        }
    }

    /// The filled streams, in an order that has nothing to do with where they lie.
    private func streams(_ store: EventStore) async throws -> [StreamID] {
        var streams: Set<StreamID> = []
        for try await event in store.readAll() where event.version == StreamScenario.short {
            streams.insert(event.stream)
        }
        var random = SplitMix64(state: BenchPlan.seed)
        return streams.sorted { $0.aggregateID < $1.aggregateID }.shuffled(using: &random)
    }

    private func selected(
        _ client: PostgresClient,
        _ stream: @escaping @Sendable (Int) -> StreamID
    ) -> Contest.Contestant {
        Contest.Contestant(name: "SELECT, rows not decoded", kind: .bare) { order in
            try await Turn.taken(by: 1, for: order.duration) { _, clock in
                var number = order.number
                while clock.isRunning {
                    var read = 0
                    try await clock.time(events: 0) {
                        read = try await StreamScenario.select(stream(number), client)
                    }
                    clock.count(events: read)
                    number += 1
                }
            }
        }
    }

    private static func select(_ stream: StreamID, _ client: PostgresClient) async throws -> Int {
        var read = 0
        while true {
            let rows = try await client.query(
                select,
                [
                    .text(stream.aggregateType), .text(stream.aggregateID), .int4(Int32(read + 1)),
                    .int4(Int32(StreamReader.pageSize)),
                ]
            )
            read += rows.count
            if rows.count < StreamReader.pageSize { return read }
        }
    }

    private func read(
        _ store: EventStore,
        _ stream: @escaping @Sendable (Int) -> StreamID
    ) -> Contest.Contestant {
        Contest.Contestant(name: "Millrace readStream", kind: .millrace) { order in
            try await Turn.taken(by: 1, for: order.duration) { _, clock in
                var number = order.number
                while clock.isRunning {
                    var read = 0
                    try await clock.time(events: 0) {
                        for try await _ in store.readStream(stream(number)) { read += 1 }
                    }
                    clock.count(events: read)
                    number += 1
                }
            }
        }
    }
}
