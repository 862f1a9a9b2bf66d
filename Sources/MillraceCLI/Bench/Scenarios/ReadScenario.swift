import Millrace
import MillracePostgres

/// The whole log from its beginning, page by page, beside the plain statement with nobody who decodes its rows.
struct ReadScenario {
    let stage: BenchStage

    private static let select = PostgresStatement.embedded(PackageResources.bench_read_log_sql)

    func run() async throws -> [ContestResult] {
        try await stage.withStore { store in
            try await stage.fill(store, events: stage.plan.readable)
            return try await stage.withClient(connections: 1) { client in
                var contestants = [selected(client), read(store)]
                if let reader = await PlainReader() {
                    contestants.insert(plain(reader), at: 0)
                    defer { reader.remove() }
                    return [try await stage.hold(contest(contestants))]
                }
                return [try await stage.hold(contest(contestants))]
            }
        }
    }

    private func contest(_ contestants: [Contest.Contestant]) -> Contest {
        Contest(
            scenario: .read,
            title: "a log of \(stage.plan.readable.grouped) events, pages of \(PageLimits().events.grouped)",
            contestants: contestants
        )
    }

    private func plain(_ reader: PlainReader) -> Contest.Contestant {
        Contest.Contestant(name: "SELECT, libpq from C", kind: .bare, isProgram: true) { [stage] order in
            try await reader.run(database: stage.address, page: PageLimits().events, for: order.duration)
        }
    }

    private func selected(_ client: PostgresClient) -> Contest.Contestant {
        Contest.Contestant(name: "SELECT, our client, rows not decoded", kind: .bare) { order in
            try await Turn.taken(by: 1, for: order.duration) { _, clock in
                var position: Int64 = 0
                while clock.isRunning {
                    let limit = PageLimits().events
                    let rows = try await client.query(ReadScenario.select, [.int8(position), .int4(Int32(limit))])
                    clock.count(events: rows.count)
                    position = rows.count == limit ? try rows[limit - 1].decode(Int64.self, at: 0) : 0
                }
            }
        }
    }

    private func read(_ store: EventStore) -> Contest.Contestant {
        Contest.Contestant(name: "Millrace readAll", kind: .millrace) { order in
            try await Turn.taken(by: 1, for: order.duration) { _, clock in
                while clock.isRunning {
                    var read = 0
                    for try await _ in store.readAll() {
                        read += 1
                        // Not at every event: looking at the clock costs too.
                        if read.isMultiple(of: 256), !clock.isRunning { break }
                    }
                    clock.count(events: read)
                }
            }
        }
    }
}
