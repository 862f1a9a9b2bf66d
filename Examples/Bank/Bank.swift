import ExampleStage
import Logging
import Millrace
import MillracePostgres

/// A bank with some accounts, of which a few are closed, and many transfers between all of them.
struct Bank: Sendable {
    static let accounts = 24
    static let closedAccounts = 3
    static let transfers = 240
    static let customersAtOnce = 8
    /// So much is paid in for each open account.
    private static let cents: Int64 = 10_000
    private static let patience = Duration.seconds(60)

    let store: EventStore
    let logger: Logger

    func openAccounts() async throws {
        let accounts = store.aggregate(Account(), snapshots: Account.snapshots)
        for number in 1...Bank.accounts {
            let id = Bank.account(number)
            try await accounts.execute(.open(owner: "customer \(number)"), on: id)
            if number <= Bank.closedAccounts {
                try await accounts.execute(.close, on: id)
            } else {
                try await accounts.execute(.payIn(cents: Bank.cents), on: id)
            }
        }
    }

    /// All customers at once, while one worker stops in the middle and another one goes on.
    /// - Returns: transfers that were under way when the first worker had stopped.
    func transfer() async throws -> Int {
        async let requested: Void = requestTransfers()
        try await working(worker("first")) { try await waitUntilEnded(Bank.transfers / 3) }
        let count = try await TransferCount.of(store.client)
        try await working(worker("second")) {
            try await waitUntilEnded(Bank.transfers)
            try await store.waitUntilProjected(by: Statements.name)
        }
        try await requested
        return count.open
    }

    private func waitUntilEnded(_ transfers: Int) async throws {
        let deadline = ContinuousClock.now + Bank.patience
        while try await TransferCount.of(store.client).ended < transfers {
            guard ContinuousClock.now < deadline else { throw TransfersTakeTooLong() }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    private func worker(_ name: String) -> HandlerWorker {
        HandlerWorker(
            store,
            handlers: [TransferProcess.handler],
            projections: [Statements.projection],
            options: WorkerOptions(name: name, lease: .seconds(1), beat: .milliseconds(100)),
            logger: logger
        )
    }

    private func requestTransfers() async throws {
        let transfers = store.aggregate(Transfer())
        try await withThrowingTaskGroup(of: Void.self) { group in
            for customer in 0..<Bank.customersAtOnce {
                group.addTask {
                    for number in stride(from: customer, to: Bank.transfers, by: Bank.customersAtOnce) {
                        // Some ask for more than is left.
                        let source = Bank.account(
                            1 + Bank.closedAccounts + number % (Bank.accounts - Bank.closedAccounts)
                        )
                        let other = 1 + (number * 7) % Bank.accounts
                        let target = Bank.account(Bank.account(other) == source ? 1 : other)
                        try await transfers.execute(
                            .request(source: source, target: target, cents: Int64(1 + number % 20) * 100),
                            on: "t-\(number)"
                        )
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    static func account(_ number: Int) -> String { "a-\(number)" }
}

struct TransfersTakeTooLong: Error {}

/// How many transfers there are, by their events.
struct TransferCount: Sendable {
    let open: Int
    let ended: Int

    static func of(_ client: PostgresClient) async throws -> TransferCount {
        let row = try await client.query(PostgresStatement(utf8: PackageResources.count_transfers_sql)).single()
        return TransferCount(
            open: try row.decode(Int.self, named: "open"),
            ended: try row.decode(Int.self, named: "ended")
        )
    }
}
