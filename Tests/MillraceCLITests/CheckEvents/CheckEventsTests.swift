import Foundation
import Millrace
import MillracePostgres
import Testing

@Suite("millrace check-events")
struct CheckEventsTests {
    private static var program: String {
        URL(fileURLWithPath: Command.program).deletingLastPathComponent().path + "/EventCheckProgram"
    }

    private func publish(_ events: [(type: String, data: String, metadata: String?)], to test: CommandTest) async throws
    {
        let store = EventStore(test.client)
        try await store.append(
            events.map { NewEvent(type: $0.type, data: JSON($0.data), metadata: $0.metadata.map { JSON($0) }) },
            to: StreamID("order", "1")
        )
        await store.flush()
    }

    @Test("without a program looks at what needs no code")
    func envelope() async throws {
        try await CommandTest.with { test in
            try await publish([("a", "{}", nil), ("b", "{}", #"{"schema_version": 2}"#)], to: test)
            let clean = try await test.command.run(["check-events"])
            #expect(clean.status == 0, "\(clean.error)")
            #expect(clean.output.contains("All 2 events can be read."))
            try await publish([("a", "[]", nil), ("a", "{}", #"{"schema_version": 0}"#)], to: test)
            let found = try await test.command.run(["check-events", "--json"])
            #expect(found.status == 5)
            let report = try found.json()
            #expect(report["events"] as? Int == 4 && report["problem_count"] as? Int == 2)
            let kinds = (report["problems"] as? [[String: Any]])?.map { $0["kind"] as? String }
            #expect(kinds == ["data", "schema_version"])
            let rest = try await test.command.run(["check-events", "--after", "3", "--type", "b"])
            #expect(rest.status == 0, "\(rest.error)")
        }
    }

    @Test("gives the log to a program, and shows what it finds")
    func program() async throws {
        try await CommandTest.with { test in
            try await publish(
                [
                    ("order.created", #"{"cents": 1}"#, nil), ("order.viewed", "{}", nil),
                    ("order.placed", #"{"cents": 2, "currency": "EUR"}"#, #"{"schema_version": 2}"#),
                ],
                to: test
            )
            let clean = try await test.command.run(["check-events", "--program", Self.program])
            #expect(clean.status == 0, "\(clean.error)")
            #expect(clean.output.contains("All 3 events can be read."))

            try await publish(
                [("order.created", #"{"cents": "1"}"#, nil), ("order.paid", "{}", nil), ("order.lost", "{}", nil)],
                to: test
            )
            let found = try await test.command.run(["check-events", "--program", Self.program])
            #expect(found.status == 5)
            for word in ["decoding: cents", "decoding: method", "order.lost", "order.created as order.placed"] {
                #expect(found.output.contains(word), "\(found.output)")
            }
            #expect(found.error.contains("2 problems in 6 events; 1 types"), "\(found.error)")

            let json = try await test.command.run(["check-events", "--program", Self.program, "--json", "--show", "1"])
            #expect(json.status == 5)
            let report = try json.json()
            #expect(report["problem_count"] as? Int == 2)
            let problems = try #require(report["problems"] as? [[String: Any]])
            #expect(problems.map { $0["position"] as? Int } == [4])
            #expect(problems.first?["path"] as? String == "cents")
        }
    }

    @Test("reads what millrace read writes, as a program of its own")
    func pipe() async throws {
        try await CommandTest.with { test in
            try await publish([("order.created", #"{"cents": 1}"#, nil), ("order.paid", "{}", nil)], to: test)
            let ended = try await test.command.shell(
                "(% && echo 'no event') | \(Self.program.shellQuoted); echo \"status $?\"",
                ["read", "--json"]
            )
            let lines = ended.output.split(separator: "\n").map(String.init)
            #expect(lines.count == 4, "\(ended.output)")
            #expect(lines.last == "status 1")
            #expect(lines.dropLast().map { $0.contains(#""kind":"decoding""#) } == [true, false, false])
            #expect(lines[1].contains("line 3"))
            #expect(lines[2].contains(#""kind":"summary""#))
        }
    }

    @Test("a program that is none is named")
    func noProgram() async throws {
        try await CommandTest.with { test in
            try await publish([("a", "{}", nil)], to: test)
            let missing = try await test.command.run(["check-events", "--program", "./is-not-there"])
            #expect(missing.status == 1)
            #expect(missing.error.contains("./is-not-there"))
            let other = try await test.command.run(["check-events", "--program", "echo", "hello"])
            #expect(other.status == 1)
            #expect(other.error.contains("hello") && other.error.contains("summary"), "\(other.error)")
            let usage = try await test.command.run(["check-events", "--show", "0"])
            #expect(usage.status == 64)
        }
    }
}
