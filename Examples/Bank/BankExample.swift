import ExampleStage
import Foundation
import Logging
import Millrace
import MillracePostgres

/// Moves money between accounts, all at once, and checks that none was lost or made.
@main
struct BankExample {
    private static let connections = 24

    static func main() async {
        do {
            let logger = exampleLogger("bank")
            try await withExampleDatabase(connections: connections, logger: logger) { client in
                try await Migrator(client: client).migrate()
                try await run(client, logger)
            }
        } catch {
            print("Bank: \(error)")
            exit(1)
        }
    }

    static func run(_ client: PostgresClient, _ logger: Logger) async throws {
        let bank = Bank(store: EventStore(client, logger: logger), logger: logger)
        try await bank.openAccounts()
        let open = try await bank.transfer()
        print("\(Bank.accounts) accounts; \(open) transfers were under way when the first worker stopped")
        let last = Bank.account(Bank.accounts)
        print("The statement of \(last) ends with")
        for line in try await Statements.lines(of: last, limit: 3, in: client) { print("    \(line)") }
        try await Claim.checked(by: PostgresStatement(utf8: PackageResources.check_bank_sql), in: client).present()
    }
}
