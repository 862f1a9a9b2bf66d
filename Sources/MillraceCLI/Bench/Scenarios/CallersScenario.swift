import Millrace
import MillracePostgres

/// Callers that append one event at a time and wait for each, beside PostgreSQL clients that insert one row a transaction.
struct CallersScenario {
    let stage: BenchStage

    func run() async throws -> [ContestResult] {
        var results: [ContestResult] = []
        if stage.plan.callers.contains(1) { results.append(try await alone()) }
        for crowd in crowds {
            results.append(try await stage.withStore { store in try await contest(crowd, store) })
        }
        return results
    }

    private struct Crowd {
        let clients: [Int]
        let callers: [Int]
    }

    /// As many callers as there are clients, and in the largest crowd those that are more: they are compared with the most clients.
    private var crowds: [Crowd] {
        let clients = stage.plan.clients.filter { $0 > 1 }.sorted()
        let callers = stage.plan.callers.filter { $0 > 1 }.sorted()
        guard let most = clients.last else { return [] }
        let small = clients.filter { $0 < most && callers.contains($0) }
        return small.map { Crowd(clients: [$0], callers: [$0]) }
            + [
                Crowd(
                    clients: [most] + clients.filter { $0 < most && !small.contains($0) },
                    callers: callers.filter { !small.contains($0) }
                )
            ]
    }

    /// The latency of one call is what a single caller waits for.
    private func alone() async throws -> ContestResult {
        try await stage.withStore { store in
            try await stage.withClient(connections: 1) { client in
                var contestants = [bare(client, clients: 1), millrace(store, callers: 1)]
                if let pgbench = stage.pgbench { contestants.insert(stage.pgbenchInsert(pgbench, clients: 1), at: 1) }
                return try await stage.hold(
                    Contest(
                        scenario: .callers,
                        title: "one caller, one event at a time",
                        measure: .latency,
                        contestants: contestants
                    )
                )
            }
        }
    }

    private func contest(_ crowd: Crowd, _ store: EventStore) async throws -> ContestResult {
        let title = "many at once: \(crowd.callers.map(String.init).joined(separator: " and ")) callers"
        let appends = crowd.callers.map { millrace(store, callers: $0) }
        if let pgbench = stage.pgbench {
            let inserts = crowd.clients.map { stage.pgbenchInsert(pgbench, clients: $0) }
            return try await stage.hold(Contest(scenario: .callers, title: title, contestants: inserts + appends))
        }
        return try await stage.withClient(connections: crowd.clients.max() ?? 1) { client in
            let inserts = crowd.clients.map { bare(client, clients: $0) }
            return try await stage.hold(Contest(scenario: .callers, title: title, contestants: inserts + appends))
        }
    }

    private func bare(_ client: PostgresClient, clients: Int) -> Contest.Contestant {
        Contest.Contestant(name: "INSERT, \(clients) × our client", kind: .bare) { [stage] order in
            try await Turn.taken(by: clients, for: order.duration) { task, clock in
                var events = stage.events(.sixEach, order, writer: task)
                var watch = clock
                try await client.withConnection { connection in
                    while watch.isRunning {
                        let next = events.next()
                        try await watch.time(events: 1) { try await BareStatements.insert(next, on: connection) }
                    }
                }
                clock = watch
            }.intoTwin
        }
    }

    private func millrace(_ store: EventStore, callers: Int) -> Contest.Contestant {
        Contest.Contestant(name: "Millrace append, \(callers) \(callers == 1 ? "caller" : "callers")", kind: .millrace)
        {
            [stage] order in try await stage.appendSingly(store, callers: callers, order)
        }
    }
}

extension BenchStage {
    /// Callers that append one event, wait for it, and append the next.
    func appendSingly(_ store: EventStore, callers: Int, _ order: Contest.TurnOrder) async throws -> Turn {
        try await Turn.taken(by: callers, for: order.duration) { task, clock in
            var events = events(.sixEach, order, writer: task)
            while clock.isRunning {
                let next = events.next()
                try await clock.time(events: 1) { try await store.append([next.event], to: next.stream) }
            }
        }.intoLog
    }

    func pgbenchInsert(_ pgbench: Pgbench, clients: Int) -> Contest.Contestant {
        Contest.Contestant(
            name: "INSERT, pgbench \(clients) \(clients == 1 ? "client" : "clients")",
            kind: .bare,
            isProgram: true
        ) { order in
            try await pgbench.run(
                PackageResources.bench_pgbench_insert_sql,
                database: address,
                clients: clients,
                order: order,
                body: orders[order.number]
            ).intoTwin
        }
    }
}
