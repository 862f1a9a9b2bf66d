import Foundation
import Millrace
import MillracePostgres
import MillraceTesting
import Testing

@Suite("millrace parked")
struct ParkedTests {
    /// Streams 1 and 2 are parked, 3 is retried in a while.
    private func set(_ test: CommandTest) async throws -> HandWorker {
        let hand = try await test.handler()
        try await hand.fail(1, error: "a timeout", waiting: 2)
        try await hand.fail(2, error: "no such account")
        try await hand.fail(3, error: "timeout, again", attempts: 2, retryIn: .seconds(1_000))
        return hand
    }

    private func event(_ position: Int64, _ test: CommandTest) async throws -> String {
        try await test.texts("SELECT event_id::text FROM millrace.events WHERE id = $1", [.int8(position)])[0]
    }

    private func statuses(_ test: CommandTest) async throws -> [String] {
        try await test.texts(
            "SELECT position || ' ' || status FROM millrace.parked_events ORDER BY handler_id, position"
        )
    }

    @Test("list shows what waits, all of it or what a filter means")
    func list() async throws {
        try await CommandTest.with { test in
            #expect(try await test.command.run(["parked"]).output == "Nothing waits.\n")
            _ = try await set(test)
            let id = try await event(1, test)
            let text = try await test.command.run(["parked"])
            #expect(text.output.split(separator: "\n").count == 4, "\(text.output) \(text.error)")
            for word in [id, "billing", "order/1", "order.paid", "Test: a timeout", "retrying", "parked"] {
                #expect(text.output.contains(word), "\(word): \(text.output)")
            }
            let filters: [([String], [Int])] = [
                ([], [1, 2, 3]),
                (["--handler", "billing"], [1, 2, 3]),
                (["--aggregate-type", "order", "--aggregate-id", "2"], [2]),
                (["--event", id], [1]),
                (["--type", "order.paid", "--status", "retrying"], [3]),
                (["--error", "%TIMEOUT%"], [1, 3]),
                (["--limit", "2"], [1, 2]),
                (["--type", "nothing"], []),
            ]
            for (filter, positions) in filters {
                let found = try await test.documents(["parked", "list"] + filter)
                #expect(found.map { $0["position"] as? Int } == positions, "\(filter)")
            }
            #expect(
                try await test.command.run(["parked", "list", "--type", "nothing"]).output
                    == "Nothing waits that is meant.\n"
            )
            #expect(
                try await test.command.run(["parked", "list", "--limit", "2"]).output.contains("There may be more")
            )
            try await test.expectFailure(64, ["parked", "list", "--status", "lost"], "lost")
            try await test.expectFailure(64, ["parked", "list", "--event", "x"], "x")
            try await test.expectFailure(64, ["parked", "list", "--limit", "0"], "--limit")
            try await test.expectFailure(1, ["parked", "list", "--handler", "nobody"], "there is no handler 'nobody'")
        }
    }

    @Test("show tells everything of one event, whole")
    func show() async throws {
        try await CommandTest.with { test in
            let hand = try await set(test)
            let error = "a long story " + String(repeating: "x", count: 200)
            try await hand.fail(4, error: error)
            let id = try await event(4, test)
            #expect(try await test.command.run(["parked", "edit", "--event", id, "--data", #"{"n":9}"#]).status == 0)
            let text = try await test.command.run(["parked", "show", id])
            for word in [error, #"{"n": 4}"#, #"{"n": 9}"#, "order/0", "parked, after 3 attempts", "hand:1", "edit"] {
                #expect(text.output.contains(word), "\(word): \(text.output) \(text.error)")
            }
            let one = try #require(try await test.documents(["parked", "show", id]).first)
            #expect(one["error"] as? String == error)
            #expect((one["event_data"] as? [String: Any])?["n"] as? Int == 4)
            #expect((one["edited_data"] as? [String: Any])?["n"] as? Int == 9)
            #expect((one["audited_attempts"] as? [[String: Any]])?.map { $0["status"] as? String } == ["parked"])
            #expect((one["actions"] as? [[String: Any]])?.map { $0["action"] as? String } == ["edit"])
            let none = UUID().uuidString.lowercased()
            try await test.expectFailure(1, ["parked", "show", none], none, "millrace parked list")
            try await test.expectFailure(
                1,
                ["parked", "show", id, "--handler", "nobody"],
                "there is no handler 'nobody'"
            )
        }
    }

    @Test("a change without a filter wants --all, and a filter none", arguments: ["retry", "edit", "discard"])
    func filters(command: String) async throws {
        try await CommandTest.with { test in
            _ = try await set(test)
            let before = try await statuses(test)
            let more = ["retry": [], "edit": ["--data", "{}"], "discard": ["--reason", "x", "--yes"]][command] ?? []
            try await test.expectFailure(64, ["parked", command] + more, "--all")
            try await test.expectFailure(64, ["parked", command, "--all", "--handler", "billing"] + more, "--all")
            try await test.expectFailure(64, ["parked", command, "--all", "--limit", "0"] + more, "--limit")
            try await test.expectFailure(
                1,
                ["parked", command, "--handler", "nobody"] + more,
                "there is no handler 'nobody'"
            )
            let none = UUID().uuidString.lowercased()
            try await test.expectFailure(1, ["parked", command, "--event", none] + more, none)
            let nothing = try await test.command.run(["parked", command, "--type", "nothing"] + more)
            #expect(nothing.status == 0 && nothing.output.contains("nothing was changed"), "\(nothing.error)")
            #expect(try await statuses(test) == before)
            let plan = try await test.command.run(["parked", command, "--all", "--dry-run"] + more)
            #expect(
                plan.status == 0 && plan.output.contains("3 streams of billing would"),
                "\(plan.output) \(plan.error)"
            )
            #expect(plan.output.contains(try await event(2, test)))
            #expect(try await statuses(test) == before)
            #expect(try await test.number("SELECT count(*) FROM millrace.handler_actions") == 0)
            let all = try await test.command.run(["parked", command, "--all"] + more)
            #expect(all.status == 0 && all.output.contains("3 streams of billing are"), "\(all.output) \(all.error)")
            #expect(try await test.number("SELECT count(*) FROM millrace.handler_actions") == 3)
        }
    }

    @Test("retry has events handled again, and says where a handler has to go on first")
    func retry() async throws {
        try await CommandTest.with { test in
            _ = try await set(test)
            let text = try await test.command.run(["parked", "retry", "--error", "%timeout%"])
            #expect(text.output == "2 streams of billing are retried at once; 2 events wait behind.\n", "\(text.error)")
            #expect(try await statuses(test) == ["1 retrying", "2 parked", "3 retrying"])
            _ = try await test.command.run(["pause", "billing"])
            let id = try await event(2, test)
            let paused = try await test.command.run(["parked", "retry", "--event", id])
            #expect(paused.output.contains("billing is paused") && paused.output.contains("millrace resume"))
            let documents = try await test.documents(["parked", "retry", "--handler", "billing", "--limit", "2"])
            #expect(documents.map { $0["attempts"] as? Int } == [0, 0])
            let limited = try await test.command.run(["parked", "retry", "--all", "--limit", "1"])
            #expect(limited.output.contains("There may be more than the 1"))
        }
    }

    @Test(
        "discard wants a reason and a yes, keeps the reason, and is taken back while nobody has passed the event over"
    )
    func discard() async throws {
        try await CommandTest.with { test in
            _ = try await set(test)
            let id = try await event(1, test)
            try await test.expectFailure(64, ["parked", "discard", "--event", id, "--yes"], "--reason")
            try await test.expectFailure(64, ["parked", "discard", "--event", id, "--yes", "--reason", ""], "--reason")
            try await test.expectFailure(
                64,
                ["parked", "discard", "--event", id, "--reason", "x"],
                "nothing was changed",
                "--yes"
            )
            #expect(try await statuses(test) == ["1 parked", "2 parked", "3 retrying"])
            let one = try await test.documents([
                "parked", "discard", "--event", id, "--reason", "a test order", "--yes",
            ])
            #expect(one.map { $0["discard_reason"] as? String } == ["a test order"])
            #expect(try await statuses(test) == ["1 discarding", "2 parked", "3 retrying"])
            #expect(try await test.texts("SELECT reason FROM millrace.handler_actions") == ["a test order"])
            #expect(try await test.command.run(["parked", "show", id]).output.contains("discarding: a test order"))
            let back = try await test.command.run(["parked", "retry", "--event", id, "--status", "discarding"])
            #expect(back.output.hasPrefix("1 stream of billing is retried at once"), "\(back.output)")
            #expect(try await statuses(test) == ["1 retrying", "2 parked", "3 retrying"])
        }
    }

    @Test(
        "edit takes data from an argument or standard input, merges it, takes it back, and retries where that is wanted"
    )
    func edit() async throws {
        try await CommandTest.with { test in
            _ = try await set(test)
            let id = try await event(1, test)
            let merged = try await test.documents(["parked", "edit", "--event", id, "--data", #"{"x":1}"#, "--merge"])
            #expect(merged.map { $0["edited_data"] as? [String: Int] } == [["n": 1, "x": 1]])
            let piped = try await test.command.run(
                ["parked", "edit", "--event", id, "--data", "-", "--retry"],
                input: Data(#"{"whole":true}"#.utf8)
            )
            #expect(
                piped.output.hasPrefix("1 stream of billing is handled with the data that was given, at once"),
                "\(piped.output) \(piped.error)"
            )
            #expect(
                try await test.texts(
                    "SELECT edited_data::text || status FROM millrace.parked_events WHERE position = 1"
                )
                    == [#"{"whole": true}retrying"#]
            )
            let undone = try await test.documents(["parked", "edit", "--event", id, "--undo"])
            #expect(undone.allSatisfy { $0["edited_data"] is NSNull })
            for wrong in [[], ["--data", "{}", "--undo"], ["--undo", "--merge"]] {
                try await test.expectFailure(64, ["parked", "edit", "--event", id] + wrong)
            }
            try await test.expectFailure(65, ["parked", "edit", "--event", id, "--data", "{"], "json")
            try await test.expectFailure(
                65,
                ["parked", "edit", "--event", id, "--data", "[]", "--merge"],
                "p_event_data"
            )
        }
    }
}
