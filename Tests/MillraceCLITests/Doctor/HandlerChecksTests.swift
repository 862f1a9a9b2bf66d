import Foundation
import Millrace
import MillracePostgres
import MillraceTesting
import Testing

@testable import MillraceCLI

@Suite("millrace doctor on handlers")
struct HandlerChecksTests {
    private func checks(_ test: CommandTest, _ name: String, status: Int32) async throws -> [[String: String]] {
        let result = try await test.command.run(["doctor", "--json", "--patience", "0"])
        #expect(result.status == status, "\(result.output) \(result.error)")
        return try #require(try result.json()["checks"] as? [[String: String]]).filter { $0["name"] == name }
    }

    @Test("finds nothing wrong with handlers that work")
    func sound() async throws {
        try await CommandTest.with(durability: .full) { test in
            #expect(try await checks(test, "handlers", status: 0).map { $0["finding"] } == ["none"])
            _ = try await test.handler()
            for name in ["handlers", "parked events", "lanes", "checkpoints"] {
                #expect(try await checks(test, name, status: 0).map { $0["verdict"] } == ["ok"], "\(name)")
            }
        }
    }

    @Test("finds handlers that stopped or were paused, and says how they go on")
    func states() async throws {
        try await CommandTest.with(durability: .full) { test in
            _ = try await test.handler()
            _ = try await test.command.run(["pause", "billing", "--reason", "the bank is down"])
            let paused = try #require(try await checks(test, "handlers", status: 0).first)
            #expect(paused["verdict"] == "warning" && paused["finding"]?.contains("the bank is down") == true)
            try await test.client.query("SELECT millrace.stop_handler('billing', 'stopped', 'poison')")
            let stopped = try #require(try await checks(test, "handlers", status: 5).first)
            #expect(stopped["verdict"] == "failed" && stopped["finding"]?.contains("8 events are pending") == true)
            #expect(stopped["remedy"]?.contains("millrace resume billing") == true)
        }
    }

    @Test("finds streams that wait for somebody, and how near they are to stopping the handler")
    func parked() async throws {
        try await CommandTest.with(durability: .full) { test in
            let hand = try await test.handler("it's billing", parkedLimit: 3)
            try await hand.fail(1, waiting: 4)
            let one = try #require(try await checks(test, "parked events", status: 0).first)
            #expect(one["verdict"] == "warning" && one["finding"]?.contains("1 stream waits for somebody") == true)
            #expect(
                one["finding"]?.contains("4 events behind") == true && one["finding"]?.contains("that stop it") == false
            )
            #expect(one["remedy"]?.contains(#"--handler 'it'\''s billing'"#) == true, "\(one)")
            try await hand.fail(2, retryIn: .seconds(1_000))
            let two = try #require(try await checks(test, "parked events", status: 0).first)
            #expect(two["finding"]?.contains("2 of the 3 that stop it") == true, "\(two)")
        }
    }

    @Test("finds lanes that nobody works on while events are pending")
    func lanes() async throws {
        try await CommandTest.with(durability: .full) { test in
            let hand = try await test.handler()
            try await test.client.query(
                "SELECT millrace.release_lanes('billing', $1, NULL, NULL, NULL, true)",
                [.uuid(hand.id)]
            )
            try await test.client.query(
                "UPDATE millrace.handler_lanes SET leased_until = now() - interval '1 hour' WHERE lane < 3"
            )
            let some = try #require(try await checks(test, "lanes", status: 5).first)
            #expect(
                some["verdict"] == "failed" && some["finding"]?.contains("3 of the 4 lanes of billing") == true,
                "\(some)"
            )
            #expect(some["finding"]?.contains("8 events are pending") == true)
            _ = try await test.command.run(["reset", "billing", "--to", "end", "--yes"])
            #expect(try await checks(test, "lanes", status: 0).map { $0["verdict"] } == ["ok"])
        }
    }

    @Test("finds checkpoints behind the end of a log that was restored")
    func checkpoints() async throws {
        try await CommandTest.with(durability: .full) { test in
            _ = try await test.handler()
            try await test.client.query("UPDATE millrace.handler_lanes SET checkpoint = 1000 WHERE lane = 2")
            let check = try #require(try await checks(test, "checkpoints", status: 5).first)
            #expect(
                check["verdict"] == "failed"
                    && check["finding"]?.contains("up to 1,000, and the log ends at 8") == true,
                "\(check)"
            )
            #expect(check["remedy"]?.contains("millrace reset billing --to end") == true)
            _ = try await test.command.run(["reset", "billing", "--to", "end", "--yes"])
            #expect(try await checks(test, "checkpoints", status: 0).map { $0["verdict"] } == ["ok"])
        }
    }

    @Test("writes names as a shell reads them")
    func words() {
        #expect("billing.v2".shellWord == "billing.v2")
        #expect("".shellWord == "''")
        #expect("a b".shellWord == "'a b'")
        #expect("$(rm)".shellWord == "'$(rm)'")
        #expect("it's".shellWord == #"'it'\''s'"#)
    }
}
