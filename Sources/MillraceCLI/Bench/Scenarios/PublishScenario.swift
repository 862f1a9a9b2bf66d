import Millrace
import MillracePostgres

/// SQL clients that publish one event in a transaction of their own, beside as many that insert a row.
struct PublishScenario {
    let stage: BenchStage

    private static let publish: PostgresStatement = "SELECT millrace.publish_event($1, $2, $3, $4, $5)"
    private static let ring = PostgresStatement(
        "SELECT set_config('millrace.notify_on_publish', $1, false)",
        prepared: false
    )

    func run() async throws -> [ContestResult] {
        let clients = stage.plan.publishers
        let title = "\(clients) SQL clients"
        if let pgbench = stage.pgbench {
            return [
                try await stage.hold(
                    Contest(
                        scenario: .publish,
                        title: title,
                        contestants: [
                            stage.pgbenchInsert(pgbench, clients: clients),
                            published(pgbench, clients, rings: false),
                            published(pgbench, clients, rings: true),
                        ]
                    )
                )
            ]
        }
        return try await stage.withClient(connections: clients) { client in
            [
                try await stage.hold(
                    Contest(
                        scenario: .publish,
                        title: title,
                        contestants: [
                            inserted(client, clients),
                            published(client, clients, rings: false),
                            published(client, clients, rings: true),
                        ]
                    )
                )
            ]
        }
    }

    private func name(_ rings: Bool) -> String { "publish_event, doorbell in the transaction \(rings ? "on" : "off")" }

    private func published(_ pgbench: Pgbench, _ clients: Int, rings: Bool) -> Contest.Contestant {
        Contest.Contestant(name: name(rings), kind: .millrace, isProgram: true) { [stage] order in
            try await pgbench.run(
                PackageResources.bench_pgbench_publish_sql,
                database: stage.address,
                clients: clients,
                order: order,
                body: stage.orders[order.number],
                options: "-c millrace.notify_on_publish=\(rings ? "on" : "off")"
            ).intoLog
        }
    }

    // Where there is no pgbench, and the table says so.

    private func inserted(_ client: PostgresClient, _ clients: Int) -> Contest.Contestant {
        Contest.Contestant(name: "INSERT, \(clients) × our client", kind: .bare) { [stage] order in
            try await Turn.taken(by: clients, for: order.duration) { task, clock in
                var events = stage.events(.sixEach, order, writer: task)
                while clock.isRunning {
                    let next = events.next()
                    try await clock.time(events: 1) { try await BareStatements.insert(next, on: client) }
                }
            }.intoTwin
        }
    }

    private func published(_ client: PostgresClient, _ clients: Int, rings: Bool) -> Contest.Contestant {
        Contest.Contestant(name: name(rings) + ", our client", kind: .millrace) { [stage] order in
            try await Turn.taken(by: clients, for: order.duration) { task, clock in
                var events = stage.events(.sixEach, order, writer: task)
                var watch = clock
                try await client.withConnection { connection in
                    try await connection.query(PublishScenario.ring, [.text(rings ? "on" : "off")])
                    while watch.isRunning {
                        let next = events.next()
                        try await watch.time(events: 1) { try await PublishScenario.publish(next, on: connection) }
                    }
                }
                clock = watch
            }.intoLog
        }
    }

    private static func publish(_ next: BenchEvents.Next, on connection: PostgresConnection) async throws {
        try await connection.query(
            publish,
            [
                .text(next.body.type), .text(next.stream.aggregateID), .text(next.stream.aggregateType),
                .jsonb(next.body.data.utf8), .jsonb(next.body.metadata.utf8),
            ]
        )
    }
}
