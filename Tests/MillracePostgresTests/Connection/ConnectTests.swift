import Foundation
import Testing

@testable import MillracePostgres

@Suite(.serialized) struct ConnectTests {
    private func configuration(_ change: (inout URLComponents) -> Void) async throws -> PostgresConfiguration {
        var parts = try #require(URLComponents(string: try await testConnectionString()))
        change(&parts)
        return PostgresConfiguration(try #require(parts.string))
    }

    private func failure(_ configuration: PostgresConfiguration) async throws -> PostgresConnectFailure {
        let error = try await postgresError { _ = try await PostgresConnection.connect(configuration) }
        guard case .cannotConnect(let failure) = error else { throw error }
        return failure
    }

    /// Whatever else it takes: the first host is `host` and `port`, the second the real server.
    private func behind(_ port: UInt16, host: String = "127.0.0.1") async throws -> PostgresConfiguration {
        let parts = try #require(URLComponents(string: try await testConnectionString()))
        func quoted(_ value: String?) -> String { "'\((value ?? "").replacing("'", with: "\\'"))'" }
        return PostgresConfiguration(
            """
            host=\(host),\(quoted(parts.host).dropFirst().dropLast()) port=\(port),\(parts.port ?? 5432) \
            user=\(quoted(parts.user)) password=\(quoted(parts.password)) dbname=\(quoted(String(parts.path.dropFirst())))
            """
        )
    }

    @Test func theServerIsKnown() async throws {
        try await withTestConnection { connection in
            let pid = try await connection.query("SELECT pg_backend_pid()").single().decode(Int32.self, at: 0)
            #expect(connection.backendProcessID == pid)
            #expect(connection.serverVersion >= 180_000)
            let name = try await connection.query("SHOW application_name").single().decode(String.self, at: 0)
            #expect(name == "millrace-tests")
        }
    }

    @Test func settingsOfTheSessionAreSet() async throws {
        try await withTestConnection {
            $0.sessionSettings = ["statement_timeout": "12345ms", "TimeZone": "Asia/Tokyo"]
        } _: { connection in
            let rows = try await connection.pipeline([
                PostgresCall("SHOW statement_timeout"), PostgresCall("SHOW TimeZone"),
            ])
            #expect(try rows.map { try $0.single().decode(String.self, at: 0) } == ["12345ms", "Asia/Tokyo"])
        }
    }

    @Test func aSettingThatTheServerRefusesFailsTheConnection() async throws {
        let configuration = try await testConfiguration { $0.sessionSettings = ["no_such_setting": "1"] }
        let error = try await postgresError { _ = try await PostgresConnection.connect(configuration) }
        #expect(error.sqlState == .undefinedObject)
    }

    @Test func aWrongPasswordIsNamed() async throws {
        let failure = try await failure(configuration { $0.password = "wrong" })
        #expect(failure.sqlState == .invalidPassword)
        #expect(!failure.message.contains("28P01"))
    }

    @Test func aMissingDatabaseIsNamed() async throws {
        let failure = try await failure(configuration { $0.path = "/no_such_database" })
        #expect(failure.sqlState == .invalidDatabase)
        #expect(failure.message.contains("no_such_database"))
    }

    @Test func aRefusedPortHasNoCode() async throws {
        let port = try closedPort()
        let failure = try await failure(PostgresConfiguration("postgresql://x@127.0.0.1:\(port)/x"))
        #expect(failure.sqlState == nil)
        #expect(failure.message.contains("\(port)"))
    }

    @Test func anInvalidConnectionStringIsRefused() async throws {
        let failure = try await failure(PostgresConfiguration("host=localhost nonsense=1"))
        #expect(failure.message.contains("nonsense"))
    }

    @Test func aPeerThatIsNoPostgreSQLIsRefused() async throws {
        for answer in ["HTTP/1.1 400 Bad Request\r\n\r\n", "N", "S", "NR\0\0\0\u{8}\0\0\0\u{63}", "NE\0\0\0\u{5}\0"] {
            let peer = try FakePeer(.answer([UInt8](answer.utf8)))
            let failure = try await failure(PostgresConfiguration("postgresql://x@127.0.0.1:\(peer.port)/x"))
            #expect(failure.sqlState == nil, "after \(answer)")
            peer.stop()
        }
    }

    @Test func aSilentPeerCostsTheTimeLimit() async throws {
        let peer = try FakePeer(.silent)
        var configuration = PostgresConfiguration("postgresql://x@127.0.0.1:\(peer.port)/x")
        configuration.connectTimeout = .milliseconds(300)
        let failure = try await failure(configuration)
        #expect(failure.message.contains("0.3 seconds"))
        peer.stop()
    }

    @Test func aCancelledTaskDoesNotWaitForTheConnection() async throws {
        let peer = try FakePeer(.silent)
        var configuration = PostgresConfiguration("postgresql://x@127.0.0.1:\(peer.port)/x")
        configuration.connectTimeout = .seconds(600)
        let task = Task { [configuration] in
            try await postgresError { _ = try await PostgresConnection.connect(configuration) }
        }
        await peer.wasReached.wait()
        task.cancel()
        #expect(try await task.value.isCancelled)
        peer.stop()
    }

    @Test func aDeadFirstHostIsPassedOver() async throws {
        let connection = try await PostgresConnection.connect(try await behind(try closedPort()))
        #expect(try await connection.query("SELECT 1").count == 1)
        await connection.close()
    }

    /// The address is reserved for documentation: nothing answers from it, or the system refuses at once.
    @Test func aFirstHostThatNeverAnswersIsPassedOver() async throws {
        var configuration = try await behind(5432, host: "192.0.2.1")
        configuration.connectTimeout = .seconds(20)
        let connection = try await PostgresConnection.connect(configuration)
        #expect(try await connection.query("SELECT 1").count == 1)
        await connection.close()
    }

    @Test func aServerThatDiesInTheHandshakeFailsTheConnection() async throws {
        let parts = try #require(URLComponents(string: try await testConnectionString()))
        for bytes in [1, 10, 60, 200] {
            let peer = try FakePeer(.cut(afterBytes: bytes, serverPort: UInt16(parts.port ?? 5432)))
            let failure = try await failure(
                configuration {
                    $0.host = "127.0.0.1"
                    $0.port = Int(peer.port)
                }
            )
            #expect(failure.sqlState == nil, "after \(bytes) bytes")
            peer.stop()
        }
    }

    @Test func aServerThatDiesInTheMiddleOfItsAnswerLosesTheConnection() async throws {
        let parts = try #require(URLComponents(string: try await testConnectionString()))
        let peer = try FakePeer(.cut(afterBytes: 100_000, serverPort: UInt16(parts.port ?? 5432)))
        let connection = try await PostgresConnection.connect(
            configuration {
                $0.host = "127.0.0.1"
                $0.port = Int(peer.port)
            }
        )
        let error = try await postgresError { try await connection.query("SELECT repeat('x', 1000000)") }
        #expect(error.isConnectionLost)
        await connection.close()
        peer.stop()
    }
}

@Suite(.serialized) struct ConnectFailureTests {
    @Test func theCodeIsTakenOutOfTheVerboseText() {
        let failure = PostgresConnectFailure(
            verbose: """
                connection to server at "127.0.0.1", port 1 failed: Connection refused
                \tIs the server running on that host and accepting TCP/IP connections?
                connection to server at "::1", port 5432 failed: FATAL:  28P01: password authentication failed for user "x"
                LOCATION:  auth_failed, auth.c:319
                """
        )
        #expect(failure.sqlState == .invalidPassword)
        #expect(failure.message.hasSuffix(#"FATAL:  password authentication failed for user "x""#))
        #expect(failure.message.hasPrefix(#"connection to server at "127.0.0.1""#))
    }

    @Test func anyLanguageWillDo() {
        let failure = PostgresConnectFailure(
            verbose: "致命错误:  3D000: 数据库 \"x\" 不存在\n位置:  InitPostgres, postinit.c:1011\n"
        )
        #expect(failure.sqlState == .invalidDatabase)
        #expect(failure.message == "致命错误:  数据库 \"x\" 不存在")
    }

    @Test func aTextWithoutACodeIsKept() {
        let failure = PostgresConnectFailure(verbose: "could not translate host name: a: b:  c\n")
        #expect(failure.sqlState == nil)
        #expect(failure.message == "could not translate host name: a: b:  c")
    }
}
