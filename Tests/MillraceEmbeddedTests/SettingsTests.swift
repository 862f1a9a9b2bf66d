import Foundation
import Testing

@testable import MillraceEmbedded

@Suite(.serialized) struct SettingsTests {
    @Test func theServerIsSetUpForMillrace() async throws {
        try await Scratch.with { scratch in
            let postgres = try await scratch.start { $0.settings["work_mem"] = "5MB" }
            for (name, value) in [
                ("data_checksums", "on"), ("server_encoding", "UTF8"), ("wal_level", "logical"),
                ("search_path", "public"), ("max_locks_per_transaction", "256"), ("max_prepared_transactions", "64"),
                ("max_connections", "200"),
                ("deadlock_timeout", "200ms"), ("idle_in_transaction_session_timeout", "5min"),
                ("password_encryption", "scram-sha-256"), ("work_mem", "5MB"),
                ("logging_collector", "on"), ("listen_addresses", "127.0.0.1"),
            ] {
                let answer = try await scratch.sql("SHOW \(name)", postgres.connectionString)
                #expect(answer == value, "\(name)")
            }
            let provider = "SELECT datlocprovider, datlocale FROM pg_database WHERE datname = current_database()"
            #expect(try await scratch.sql(provider, postgres.connectionString) == "b|C.UTF-8")
            let complaints = "SELECT count(*) FROM pg_file_settings WHERE error IS NOT NULL"
            #expect(try await scratch.sql(complaints, postgres.connectionString) == "0")
            try await postgres.stop()
        }
    }

    @Test func everyDoorAsksForThePassword() async throws {
        try await Scratch.with { scratch in
            let postgres = try await scratch.start()
            let others =
                "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256' OR error IS NOT NULL"
            #expect(try await scratch.sql(others, postgres.connectionString) == "0")
            #expect(try await scratch.sql("SELECT inet_server_addr()", postgres.urlWithPassword) == "127.0.0.1")
            #expect(try await scratch.sql("SELECT inet_server_addr()", postgres.url) == "127.0.0.1")

            let port = try #require(postgres.port)
            let socket = try #require(PostmasterFile(cluster: scratch.cluster)).socketFolder
            for door in [
                "postgresql://millrace:wrong@127.0.0.1:\(port)/millrace",
                "postgresql://millrace@127.0.0.1:\(port)/millrace",
                "host=\(socket) port=\(port) user=millrace dbname=millrace password=wrong",
            ] {
                await #expect(throws: Scratch.ScratchError.self, "\(door)") {
                    _ = try await scratch.sql("SELECT 1", door)
                }
            }
            #expect(!postgres.connectionString.contains(try password(of: scratch)))
            #expect(!postgres.url.contains(try password(of: scratch)))
            let mode = try FileManager.default.attributesOfItem(atPath: postgres.passfile)[.posixPermissions] as? Int
            #expect(mode == 0o600)
            #expect(try password(of: scratch).count == 64)
            try await postgres.stop()
        }
    }

    @Test func aUsersOwnSettingsAreKeptAndWin() async throws {
        try await Scratch.with { scratch in
            try await scratch.start().stop()
            let mine = ServerSettings.userText + "deadlock_timeout = '700ms'\n"
            try PrivateFile.write(mine, to: scratch.cluster + "/user.conf", owner: scratch.account())
            // What Millrace wrote before is replaced.
            try PrivateFile.write("nonsense\n", to: scratch.cluster + "/millrace.conf", owner: scratch.account())
            let postgres = try await scratch.start()
            #expect(try await scratch.sql("SHOW deadlock_timeout", postgres.connectionString) == "700ms")
            #expect(try String(contentsOfFile: scratch.cluster + "/user.conf", encoding: .utf8) == mine)
            try await postgres.stop()
        }
    }

    @Test func createsTheDatabaseThatIsNamed() async throws {
        try await Scratch.with { scratch in
            try await scratch.start().stop()
            let name = "it's \"mine\" \\ é"
            let postgres = try await scratch.start { $0.databaseName = name }
            #expect(try await scratch.sql("SELECT current_database()", postgres.connectionString) == name)
            #expect(try await scratch.sql("SELECT current_database()", postgres.url) == name)
            try await postgres.stop()
        }
    }

    private func password(of scratch: Scratch) throws -> String {
        try Passfile(at: scratch.folder + "/pgpass", isNew: false).password
    }
}
