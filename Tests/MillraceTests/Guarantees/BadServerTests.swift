import Foundation
import Millrace
import MillraceEmbedded
import MillracePostgres
import Testing

/// A server that cannot serve says so in one sentence: the wrong password, the wrong database, the wrong version, a
/// disk that is full. Nothing is stored, nothing crashes, and what can recover does.
@Suite(.serialized, .timeLimit(.minutes(15)))
struct BadServerTests {
    @Test func withAnotherPassword() async throws {
        let postgres = try await sharedPostgres()
        let configuration = PostgresConfiguration(postgres.connectionString + " password='not this one'")
        let failure = try await Self.connectFailure(configuration)
        #expect(failure.sqlState == .invalidPassword)
        #expect(failure.message.contains("password authentication failed"))
    }

    @Test func withADatabaseThatIsMissing() async throws {
        let postgres = try await sharedPostgres()
        let configuration = PostgresConfiguration(postgres.connectionString + " dbname=no_such_database")
        let failure = try await Self.connectFailure(configuration)
        #expect(failure.sqlState == .invalidDatabase)
        #expect(failure.message.contains("no_such_database"))
    }

    @Test func withADatabaseThatIsNotMigrated() async throws {
        try await withEmptyDatabase { connectionString in
            try await withClient(PostgresConfiguration(connectionString)) { client in
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

    @Test(.enabled(if: OlderPostgres.isInstalled, "there is no PostgreSQL 15 to 17 on this machine"))
    func thatIsOlderThan18() async throws {
        try await OlderPostgres.run { connectionString in
            try await withClient(PostgresConfiguration(connectionString)) { client in
                let error = await #expect(throws: MigrationError.self) { try await migrate(client) }
                let sentence = try #require(error?.description)
                print("BadServer: \(sentence)")
                #expect(sentence.contains("Millrace needs 18 or newer"))
                let schemas = try await client.query("SELECT nspname FROM pg_namespace WHERE nspname = 'millrace'")
                #expect(schemas.isEmpty, "nothing is left half made")
            }
        }
    }

    /// The tables' disk is full, while the server's log still has room: an append fails and is not stored, reading goes
    /// on, and appending too as soon as there is room again.
    @Test(.enabled(if: SmallDisk.canBeMade, "only root can mount a small disk"))
    func whoseDiskIsFull() async throws {
        try await SmallDisk.run { disk in
            let postgres = try await sharedPostgres()
            try await withClient(PostgresConfiguration(postgres.connectionString)) { admin in
                try await admin.script("CREATE TABLESPACE small_disk LOCATION '\(disk.folder)'")
                try await admin.script("CREATE DATABASE full_disk TABLESPACE small_disk")
                let outcome: Result<Void, any Error>
                do {
                    outcome = .success(try await Self.fill(disk, postgres.connectionString + " dbname=full_disk"))
                } catch {
                    outcome = .failure(error)
                }
                try await admin.script("DROP DATABASE full_disk WITH (FORCE)")
                try await admin.script("DROP TABLESPACE small_disk")
                try outcome.get()
            }
        }
    }

    private static func fill(_ disk: SmallDisk, _ connectionString: String) async throws {
        var configuration = PostgresConfiguration(connectionString)
        configuration.maximumConnections = 1
        try await withClient(configuration) { client in
            try await migrate(client)
            let store = EventStore(client)
            let stream = StreamID("disk", "1")
            try disk.reserveRoom()
            // More than fits, so that the loop ends by the disk and not by its limit.
            let noise = JSON.noise(atLeast: 180_000)
            var acknowledged = 0
            var refusal: EventStoreError?
            while refusal == nil, acknowledged * noise.utf8.count < 2 * SmallDisk.size {
                do {
                    try await store.append(
                        [NewEvent(type: "big", data: noise)],
                        to: stream,
                        expecting: acknowledged == 0 ? .noStream : .exactly(acknowledged)
                    )
                    acknowledged += 1
                } catch let error as EventStoreError {
                    refusal = error
                }
            }
            print("BadServer: \(acknowledged) events fit, then: \(refusal.map(String.init(describing:)) ?? "nothing")")
            guard case .postgres(let error) = refusal else {
                throw UnexpectedOutcome(what: String(describing: refusal))
            }
            #expect(error.sqlState == .diskFull)
            #expect(acknowledged > 0)

            var read = 0
            for try await event in store.readStream(stream) {
                read += 1
                #expect(event.version == read)
            }
            #expect(read == acknowledged, "what was acknowledged is there, and nothing else")
            #expect(client.statistics.open == 1)

            try disk.giveRoom()
            let result = try await store.append(
                [NewEvent(type: "big", data: noise)],
                to: stream,
                expecting: .exactly(acknowledged)
            )
            #expect(result.version(of: stream) == acknowledged + 1)
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
