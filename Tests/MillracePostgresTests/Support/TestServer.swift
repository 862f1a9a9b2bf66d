import Foundation
import MillraceEmbedded
import MillracePostgres
import MillraceTesting

func testConnectionString() async throws -> String {
    try await TestServer.shared().postgres.urlWithPassword
}

func testConfiguration(_ change: (inout PostgresConfiguration) -> Void = { _ in }) async throws -> PostgresConfiguration
{
    var configuration = PostgresConfiguration(try await testConnectionString())
    configuration.applicationName = "millrace-tests"
    // Suites run side by side: together they stay below the usual limit of a server.
    configuration.maximumConnections = 4
    change(&configuration)
    return configuration
}

/// A client that is closed when `body` has ended, whatever its end.
func withClient<T>(
    _ change: (inout PostgresConfiguration) -> Void = { _ in },
    _ body: (PostgresClient) async throws -> T
) async throws -> T {
    try await withPostgresClient(try await testConfiguration(change), body)
}

func withTestConnection<T>(
    _ change: (inout PostgresConfiguration) -> Void = { _ in },
    _ body: (PostgresConnection) async throws -> T
) async throws -> T {
    let connection = try await PostgresConnection.connect(try await testConfiguration(change))
    do {
        let value = try await body(connection)
        await connection.close()
        return value
    } catch {
        await connection.close()
        throw error
    }
}

/// A name for a table, a lock or a channel that no other test uses.
func uniqueName(_ prefix: String) -> String {
    "\(prefix)_\(UUID().uuidString.replacing("-", with: "").lowercased())"
}

struct ConditionNotMet: Error, CustomStringConvertible {
    let description: String
}

/// How long a condition on the server may take to come true on a busy machine.
let conditionDeadline = Duration.seconds(30)

/// Asks the server until it says yes; each question is a round trip, so that this does not spin.
func until(
    _ name: String,
    on session: some PostgresSession,
    _ sql: PostgresStatement,
    _ parameters: [PostgresValue] = []
)
    async throws
{
    let deadline = ContinuousClock.now + conditionDeadline
    while ContinuousClock.now < deadline {
        if try await session.query(sql, parameters).single().decode(Bool.self, at: 0) { return }
        await Task.yield()
    }
    throw ConditionNotMet(description: "\(name) did not come true within \(conditionDeadline)")
}

/// Waits until the server process has a statement running that contains `fragment`.
func untilRunning(_ fragment: String, pid: Int32, on session: some PostgresSession) async throws {
    try await until(
        "\(fragment) running in \(pid)",
        on: session,
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active' AND position($2 IN query) > 0)",
        [.int4(pid), .text(fragment)]
    )
}

func untilGone(pid: Int32, on session: some PostgresSession) async throws {
    try await until(
        "process \(pid) gone",
        on: session,
        "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)",
        [.int4(pid)]
    )
}

/// The error that `body` throws, which must be one of this library's.
func postgresError<T>(_ body: () async throws -> T) async throws -> PostgresError {
    do {
        _ = try await body()
    } catch let error as PostgresError {
        return error
    }
    throw ConditionNotMet(description: "nothing was thrown")
}

extension PostgresError {
    var isCancelled: Bool { if case .cancelled = self { true } else { false } }
    var isTimedOut: Bool { if case .timedOut = self { true } else { false } }
    var isConnectionLost: Bool { if case .connectionLost = self { true } else { false } }
    var isOutcomeUnknown: Bool { if case .outcomeUnknown = self { true } else { false } }
    var isCannotConnect: Bool { if case .cannotConnect = self { true } else { false } }
    var isMisuse: Bool { if case .misuse = self { true } else { false } }
    var isClientClosed: Bool { if case .clientClosed = self { true } else { false } }
}
