import Foundation
import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension CommandTest {
    /// Events 1, 2, 3 … of four streams `order/0` to `order/3`, and a handler that has them pending, in lanes that are leased.
    func handler(
        _ name: String = "billing",
        events: Int = 8,
        lanes: Int = 4,
        parkedLimit: Int = 1_000
    ) async throws -> HandWorker {
        let hand = HandWorker(client, name)
        try await hand.register(lanes: lanes, parkedLimit: parkedLimit)
        try await publish(events)
        try await hand.lease()
        return hand
    }

    func publish(_ count: Int) async throws {
        try await client.query(
            """
            SELECT millrace.publish_event('order.paid', (n % 4)::text, 'order', jsonb_build_object('n', n)) FROM generate_series(1, $1) AS n
            """,
            [.int4(Int32(count))]
        )
    }

    /// The documents that a command writes, a line each.
    func documents(_ arguments: [String]) async throws -> [[String: Any]] {
        let result = try await command.run(arguments + ["--json"])
        #expect(result.status == 0, "\(result.error)")
        return try result.output.split(separator: "\n").map { line in
            try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }
    }

    /// The command fails with this status and a message that has all of these words, and writes no results.
    func expectFailure(
        _ status: Int32,
        _ arguments: [String],
        _ words: String...,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let result = try await command.run(arguments)
        #expect(result.status == status, "\(result.output) \(result.error)", sourceLocation: sourceLocation)
        for word in words { #expect(result.error.contains(word), "\(result.error)", sourceLocation: sourceLocation) }
        #expect(result.output.isEmpty, "\(result.output)", sourceLocation: sourceLocation)
    }
}

@Suite("millrace handlers, pause, resume, reset and replay")
struct HandlersTests {
    @Test("no handler is no error")
    func none() async throws {
        try await CommandTest.with { test in
            let text = try await test.command.run(["handlers"])
            #expect(text.status == 0 && text.output.hasPrefix("There is no handler"), "\(text.error)")
            #expect(try await test.documents(["handlers"]).isEmpty)
        }
    }

    @Test("show every handler on a line, for people and for programs")
    func list() async throws {
        try await CommandTest.with { test in
            let hand = try await test.handler()
            try await HandWorker(test.client, "audit").register(types: ["other"])
            try await hand.succeed(1)
            try await hand.fail(2, retryIn: .seconds(1_000))
            try await hand.fail(3, error: "no\nsuch account")
            try await test.client.query("SELECT millrace.stop_handler('audit', 'stopped', 'poison')")
            let text = try await test.command.run(["handlers"])
            #expect(text.status == 0, "\(text.error)")
            let lines = text.output.split(separator: "\n").map(String.init)
            #expect(lines.count == 4, "\(text.output)")
            #expect(lines[1].hasPrefix("audit    stopped") && lines[2].hasPrefix("billing  active"), "\(text.output)")
            #expect(lines[2].contains(#"no\u{a}such account"#) && lines[2].contains("4/4"))
            #expect(lines[3].hasPrefix("audit is stopped since ") && lines[3].hasSuffix(": poison"))
            #expect(!text.output.contains("\u{1B}") && !text.output.contains("events/s"))

            let all = try await test.documents(["handlers"])
            #expect(all.map { $0["handler"] as? String } == ["audit", "billing"])
            #expect(all[0]["state"] as? String == "stopped" && all[0]["reason"] as? String == "poison")
            #expect(all[0]["event_types"] as? [String] == ["other"] && all[1]["event_types"] is NSNull)
            #expect(all[1]["pending"] as? Int == 5 && all[1]["pending_is_exact"] as? Bool == true)
            #expect(
                all[1]["parked"] as? Int == 1 && all[1]["retrying"] as? Int == 1 && all[1]["processed"] as? Int == 1
            )
            #expect(all[1]["last_error"] as? String == "no\nsuch account")
            #expect(all[1]["events_per_second"] == nil)
        }
    }

    @Test("look again and again where they are watched, with rates from the second look on")
    func watch() async throws {
        try await CommandTest.with { test in
            _ = try await test.handler()
            // It is ended by the pipe that nobody reads any more.
            let result = try await test.command.shell("% | head -n 2", ["handlers", "--watch", "--json"])
            let lines = result.output.split(separator: "\n")
            #expect(lines.count == 2, "\(result.error)")
            #expect(!(lines.first?.contains("events_per_second") ?? true))
            #expect(lines.last?.contains(#""events_per_second":0.0"#) == true, "\(result.output)")
            let twice = try await test.documents(["handlers", "--rate"])
            #expect(twice.count == 1 && twice[0]["events_per_second"] as? Double == 0)
            try await test.expectFailure(64, ["handlers", "--every", "0"], "--every")
        }
    }

    @Test("show one of them with its lanes, replays and what was done")
    func show() async throws {
        try await CommandTest.with { test in
            let hand = try await test.handler()
            try await hand.fail(1)
            #expect(try await test.command.run(["pause", "billing", "--reason", "the bank is down"]).status == 0)
            let text = try await test.command.run(["handlers", "show", "billing"])
            #expect(text.status == 0, "\(text.error)")
            for word in ["paused since", "the bank is down", "hand:1", "1 parked", "last error", "boom", "pause"] {
                #expect(text.output.contains(word), "\(word): \(text.output)")
            }
            let one = try #require(try await test.documents(["handlers", "show", "billing"]).first)
            let lanes = try #require(one["lane_details"] as? [[String: Any]])
            #expect(lanes.map { $0["lane"] as? Int } == [0, 1, 2, 3])
            #expect(lanes.allSatisfy { $0["worker"] as? String == "hand:1" && $0["pending_is_exact"] as? Bool == true })
            #expect(lanes.reduce(0) { $0 + ($1["pending"] as? Int ?? 0) } == 7)
            let actions = try #require(one["actions"] as? [[String: Any]])
            #expect(
                actions.map { $0["action"] as? String } == ["pause"]
                    && actions[0]["reason"] as? String == "the bank is down"
            )
            try await test.expectFailure(
                1,
                ["handlers", "show", "nobody"],
                "there is no handler 'nobody'",
                "millrace handlers"
            )
        }
    }

    @Test("pause and resume say what was, and what is")
    func states() async throws {
        try await CommandTest.with { test in
            _ = try await test.handler()
            let paused = try #require(try await test.documents(["pause", "billing"]).first)
            #expect(paused["state_before"] as? String == "active" && paused["state"] as? String == "paused")
            #expect(try await test.command.run(["pause", "billing"]).output.contains("was paused already"))
            let resumed = try await test.command.run(["resume", "billing"])
            #expect(resumed.output.contains("it was paused, and has 8 events before it"), "\(resumed.output)")
            #expect(try await test.command.run(["resume", "billing"]).output.contains("was active already"))
            try await test.client.query("SELECT millrace.stop_handler('billing', 'stopped', 'poison')")
            let stopped = try #require(try await test.documents(["pause", "billing"]).first)
            #expect(stopped["state_before"] as? String == "stopped" && stopped["state"] as? String == "stopped")
            for command in ["pause", "resume"] {
                try await test.expectFailure(1, [command, "nobody"], "there is no handler 'nobody'")
            }
        }
    }

    @Test("reset changes nothing without a yes, and says what it would do")
    func reset() async throws {
        try await CommandTest.with { test in
            let hand = try await test.handler(lanes: 1)
            for position in 1...5 as ClosedRange<Int64> { try await hand.succeed(position) }
            try await hand.fail(6)
            let plan = try await test.command.run(["reset", "billing", "--to", "start", "--dry-run"])
            #expect(plan.output.contains("would move to position 0"), "\(plan.output) \(plan.error)")
            #expect(plan.output.contains("6 events are handled again, 0 are left out"))
            #expect(plan.output.contains("1 of the streams that are set aside begin anew"))
            try await test.expectFailure(64, ["reset", "billing", "--to", "start"], "nothing was changed", "--yes")
            #expect(try await test.number("SELECT min(checkpoint) FROM millrace.handler_lanes") == 6)

            let done = try #require(try await test.documents(["reset", "billing", "--to", "2", "--yes"]).first)
            #expect(done["to"] as? Int == 2 && done["events_again"] as? Int == 4 && done["parked_dropped"] as? Int == 1)
            #expect(try await test.number("SELECT min(checkpoint) FROM millrace.handler_lanes") == 2)
            let end = try #require(try await test.documents(["reset", "billing", "--to", "end", "--yes"]).first)
            #expect(end["to"] as? Int == 8 && end["events_left_out"] as? Int == 6)
            let time = try #require(
                try await test.documents(["reset", "billing", "--to", "2001-01-01", "--yes"]).first
            )
            #expect(time["to"] as? Int == 0)
            let today = try #require(
                try await test.documents(["reset", "billing", "--to", "2999-01-01T00:00:00Z", "--dry-run"]).first
            )
            #expect(today["to"] as? Int == 8 && today["dry_run"] as? Bool == true)

            try await test.expectFailure(64, ["reset", "billing"], "--to")
            try await test.expectFailure(64, ["reset", "billing", "--to", "yesterday"], "yesterday")
            try await test.expectFailure(64, ["reset", "billing", "--to=-1"], "-1")
            try await test.expectFailure(
                1,
                ["reset", "nobody", "--to", "end", "--yes"],
                "there is no handler 'nobody'"
            )
        }
    }

    @Test("a replay is asked for with a yes, listed, and cancelled by the number of this handler's own")
    func replay() async throws {
        try await CommandTest.with { test in
            let hand = try await test.handler(lanes: 1)
            for position in 1...8 as ClosedRange<Int64> { try await hand.succeed(position) }
            let reached = try await test.number("SELECT min(checkpoint) FROM millrace.handler_lanes")
            try await HandWorker(test.client, "other").register()
            let plan = try await test.command.run(["replay", "billing", "--from", "2", "--dry-run"])
            #expect(plan.output.contains("once more, of the positions 2 to \(reached)"), "\(plan.output) \(plan.error)")
            try await test.expectFailure(64, ["replay", "billing", "--from", "2"], "nothing was changed")
            #expect(try await test.command.run(["replay", "billing", "--list"]).output.contains("No replay"))
            let asked = try #require(
                try await test.documents(["replay", "billing", "--from", "2", "--through", "3", "--yes"]).first
            )
            let id = try #require(asked["replay_id"] as? Int)
            #expect(asked["events"] as? Int == 2)
            try await test.expectFailure(
                1,
                ["replay", "billing", "--from", "2", "--yes"],
                "replay \(id)",
                "is not finished"
            )
            let listed = try await test.documents(["replay", "billing", "--list"])
            #expect(listed.map { $0["state"] as? String } == ["open"])
            #expect(try await test.command.run(["replay", "billing", "--list"]).output.contains("open"))
            try await test.expectFailure(1, ["replay", "other", "--cancel", "\(id)"], "other has no replay \(id)")
            #expect(
                try await test.command.run(["replay", "billing", "--cancel", "\(id)"]).output.contains("is cancelled")
            )
            #expect(
                try await test.command.run(["replay", "billing", "--cancel", "\(id)"]).output.contains(
                    "was cancelled already"
                )
            )
            try await test.expectFailure(
                65,
                ["replay", "billing", "--from", "1000", "--yes"],
                "has come to \(reached)"
            )
            for wrong in [
                [], ["--list", "--from", "1"], ["--through", "2"], ["--from", "-2"], ["--from", "3", "--through", "2"],
            ] {
                try await test.expectFailure(64, ["replay", "billing"] + wrong)
            }
        }
    }
}
