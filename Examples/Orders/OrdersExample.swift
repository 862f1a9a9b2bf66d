import ExampleStage
import Foundation
import Logging
import Millrace
import MillracePostgres

/// A shop whose code changes: `Orders` runs its first release, then its second one on what that has left; `Orders --release 1` and
/// `--release 2` run one of them on the database that `DATABASE_URL` names.
@main
struct OrdersExample {
    static let worker = WorkerOptions(lease: .seconds(1), beat: .milliseconds(100))
    private static let connections = 16

    static func newOrder() -> String { UUID().uuidString.lowercased() }

    static func main() async {
        do {
            let releases = try releases(in: CommandLine.arguments.dropFirst())
            let logger = exampleLogger("orders")
            try await withExampleDatabase(connections: connections, logger: logger) { client in
                try await Migrator(client: client).migrate()
                for release in releases { try await run(release, client, logger) }
            }
        } catch {
            print("Orders: \(error)")
            exit(1)
        }
    }

    private static func releases(in arguments: ArraySlice<String>) throws -> [Int] {
        switch Array(arguments) {
        case []: return [1, 2]
        case ["--release", "1"]: return [1]
        case ["--release", "2"]: return [2]
        default: throw WrongArguments()
        }
    }

    static func run(_ release: Int, _ client: PostgresClient, _ logger: Logger) async throws {
        try await client.script(String(decoding: PackageResources.order_state_sql, as: UTF8.self))
        let agreesWithTheLog = PostgresStatement(utf8: PackageResources.check_orders_sql)
        if release == 1 {
            try await FirstRelease.run(client, logger)
            print("Release 1: \(FirstRelease.orders) orders")
            try await Claim.checked(by: agreesWithTheLog, in: client).present()
            return
        }
        let run = try await SecondRelease.run(client, logger)
        print(
            """
            Release 2: went on with \(run.continued) open orders; \
            \(run.placedMeanwhile) came while the summary was built anew
            """
        )
        let report = try await SecondRelease.store(client, logger).checkEvents(.orders)
        let claims =
            try await Claim.checked(by: agreesWithTheLog, in: client)
            + Claim.checked(by: PostgresStatement(utf8: PackageResources.check_customers_sql), in: client)
            + [
                Claim(
                    "release 2 can read every event",
                    "\(report.events) stored, \(report.currentTypes.reduce(0) { $0 + $1.events }) as they mean now, "
                        + "\(report.problemCount) problems",
                    holds: report.isClean
                )
            ]
        try claims.present()
    }
}

struct WrongArguments: Error, CustomStringConvertible {
    var description: String { "usage: Orders [--release 1|2]" }
}
