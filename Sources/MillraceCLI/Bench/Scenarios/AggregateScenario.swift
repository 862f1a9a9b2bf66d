import Millrace
import MillracePostgres

/// Aggregates of several lengths loaded, from their beginning and from a snapshot, beside the statement whose rows nobody decodes.
struct AggregateScenario {
    let stage: BenchStage

    private static let select = PostgresStatement.embedded(PackageResources.bench_read_stream_sql)
    private static let answer = PostgresStatement.embedded(PackageResources.bench_load_sql)
    /// Events behind the snapshot, where the stream is long enough: half of what a snapshot every hundred events leaves on average.
    private static let tail = 50

    func run() async throws -> [ContestResult] {
        try await stage.withStore { store in
            try await stage.withClient(connections: 1) { client in
                var results: [ContestResult] = []
                for count in stage.plan.aggregates {
                    let id = "length-\(count)"
                    try await fill(id, count, store)
                    results.append(
                        try await stage.hold(
                            Contest(
                                scenario: .aggregate,
                                title: "an aggregate of \(count.grouped) events",
                                measure: .latency,
                                contestants: [
                                    selected(id, client),
                                    loaded(id, "Millrace load", store.aggregate(BenchAccount()), client, kept: false),
                                    loaded(id, "Millrace load, snapshot", kept(store), client, kept: true),
                                ]
                            )
                        )
                    )
                }
                return results
            }
        }
    }

    /// Takes no further snapshot.
    private func kept(_ store: EventStore) -> Aggregate<BenchAccount> {
        store.aggregate(BenchAccount(), snapshots: .every(Int(Int32.max), shape: 1))
    }

    private func fill(_ id: String, _ count: Int, _ store: EventStore) async throws {
        stage.display.say("storing an aggregate of \(count.grouped) events")
        let head = count - min(AggregateScenario.tail, count / 2)
        try await append(0..<head, to: id, store)
        _ = try await store.aggregate(BenchAccount(), snapshots: .every(1, shape: 1)).load(id)
        try await append(head..<count, to: id, store)
    }

    private func append(_ numbers: Range<Int>, to id: String, _ store: EventStore) async throws {
        for start in stride(from: numbers.lowerBound, to: numbers.upperBound, by: 1000) {
            let events = (start..<min(start + 1000, numbers.upperBound)).map { number in
                NewEvent(
                    type: BenchPlaced.eventType,
                    data: stage.orders[number].data,
                    metadata: stage.orders[number].metadata
                )
            }
            try await store.append(events, to: StreamID(BenchAccount.aggregateType, id))
            stage.tally.add(Turn(appended: events.count))
        }
    }

    private func selected(_ id: String, _ client: PostgresClient) -> Contest.Contestant {
        Contest.Contestant(name: "SELECT, rows not decoded", kind: .bare) { order in
            try await Turn.taken(by: 1, for: order.duration) { _, clock in
                while clock.isRunning {
                    var read = 0
                    try await clock.time(events: 0) {
                        var rows: PostgresRows
                        repeat {
                            rows = try await client.query(
                                AggregateScenario.select,
                                [
                                    .text(BenchAccount.aggregateType), .text(id), .int4(Int32(read + 1)),
                                    .int4(Int32(StreamReader.pageSize)),
                                ]
                            )
                            read += rows.count
                        } while rows.count == StreamReader.pageSize
                    }
                    clock.count(events: read)
                }
            }
        }
    }

    private func loaded(
        _ id: String,
        _ name: String,
        _ accounts: Aggregate<BenchAccount>,
        _ client: PostgresClient,
        kept: Bool
    ) -> Contest.Contestant {
        Contest.Contestant(name: name, kind: .millrace) { order in
            var turn = try await Turn.taken(by: 1, for: order.duration) { _, clock in
                while clock.isRunning {
                    var version = 0
                    try await clock.time(events: 0) { version = try await accounts.load(id).version }
                    clock.count(events: version)
                }
            }
            turn.figures["bytes read"] = Double(try await bytes(of: id, kept: kept, client))
            return turn
        }
    }

    /// What PostgreSQL sends for a load: the bytes of all columns of all rows, without what the protocol adds to each.
    private func bytes(of id: String, kept: Bool, _ client: PostgresClient) async throws -> Int {
        let rows = try await client.query(
            AggregateScenario.answer,
            [.text(BenchAccount.aggregateType), .text(id), .bool(kept)]
        )
        return rows.reduce(0) { sum, row in
            (0..<row.columnCount).reduce(sum) { $0 + row.byteCount(at: $1) }
        }
    }
}

/// The data of the other scenarios, as one type of event.
private struct BenchPlaced: TypedEvent {
    static let eventType = "order.placed"

    struct Line: Codable {
        let sku: String
        let quantity: Int
        let cents: Int
    }

    let order: String
    let customer: String
    let cents: Int
    let lines: [Line]
}

private enum BenchAccountEvent: DomainEvent {
    case placed(BenchPlaced)

    static let types = EventTypes<BenchAccountEvent>().on(BenchPlaced.self, BenchAccountEvent.placed)

    var payload: any TypedEvent {
        switch self {
        case .placed(let event): event
        }
    }
}

/// What somebody has ordered: a small state, however many the events.
private struct BenchAccount: Decider {
    struct State: Codable {
        var orders = 0
        var items = 0
        var cents = 0
        var lastOrder = ""
    }

    static let aggregateType = "customer"
    var initialState: State { State() }

    func decide(_ command: BenchPlaced, _ state: State) -> [BenchAccountEvent] { [.placed(command)] }

    func evolve(_ state: inout State, _ event: BenchAccountEvent) {
        switch event {
        case .placed(let order):
            state.orders += 1
            state.items += order.lines.reduce(0) { $0 + $1.quantity }
            state.cents += order.cents
            state.lastOrder = order.order
        }
    }
}
