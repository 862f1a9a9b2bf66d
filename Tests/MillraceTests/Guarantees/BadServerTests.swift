import Foundation
import Logging
import Millrace
import MillraceEmbedded
import MillracePostgres
import Testing

/// A server that cannot serve says so in one sentence: the wrong password, the wrong database, the wrong version, a disk
/// that is full. Nothing is stored, nothing crashes, and what can recover does.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct BadServerTests {
    @Test func withAnotherPassword() async throws {
        let server = try await sharedServer()
        let configuration = PostgresConfiguration(server.connectionString(database: "postgres", password: "not this one"))
        let failure = try await Self.connectFailure(configuration)
        #expect(failure.sqlState == .invalidPassword)
        #expect(failure.message.contains("password authentication failed"))
    }

    @Test func withADatabaseThatIsMissing() async throws {
        let server = try await sharedServer()
        let configuration = PostgresConfiguration(server.connectionString(database: "no_such_database", password: nil))
        let failure = try await Self.connectFailure(configuration)
        #expect(failure.sqlState == .invalidDatabase)
        #expect(failure.message.contains("no_such_database"))
    }

    @Test func withADatabaseThatIsNotMigrated() async throws {
        try await withEmptyDatabase { configuration in
            try await withClient(configuration) { client in
                let store = EventStore(client)
                let error = await #expect(throws: EventStoreError.self) {
                    try await store.append([NewEvent(type: "t", data: .emptyObject)], to: StreamID("a", "1"))
                }
                guard case .notMigrated = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
                #expect(error?.description.contains("millrace migrate") == true)
            }
        }
    }

    private static func connectFailure(_ configuration: PostgresConfiguration) async throws -> PostgresConnectFailure {
        try await withClient(configuration) { client in
            let store = EventStore(client)
            let error = await #expect(throws: EventStoreError.self) {
                try await store.append([NewEvent(type: "t", data: .emptyObject)], to: StreamID("a", "1"))
            }
            print("BadServer: \(error.map(String.init(describing:)) ?? "no error")")
            guard case .postgres(.cannotConnect(let failure)) = error else {
                throw UnexpectedOutcome(what: String(describing: error))
            }
            return failure
        }
    }
}
