import Foundation
import Millrace
import MillracePostgres
import Testing

@Suite("millrace history and rebuild")
struct HistoryTests {
    private func fill(_ test: CommandTest) async throws {
        _ = try await test.client.query(
            """
            SELECT millrace.append_events('{1,1,1,1}', '{created,paid,seen,moved}', '{order,order,order,order}', '{42,42,42,42}',
                ARRAY['{"customer": "c-7", "status": "created"}', '{"status": "paid"}', '{}', '{"who": "a\\u001bb"}']::jsonb[],
                p_occurred_at => '{2017-12-31T10:00:00Z,2018-01-01T00:00:00Z,2018-01-02T00:00:00Z,2018-01-03T00:00:00Z}')
            """
        )
    }

    @Test("shows each event and what it changed, whole and without colours where there is no terminal")
    func text() async throws {
        try await CommandTest.with { test in
            try await fill(test)
            let shown = try await test.command.run(["history", "order", "42"])
            #expect(shown.status == 0, "\(shown.error)")
            #expect(
                shown.output == """
                    v1  2017-12-31T10:00:00.000Z  created
                      + customer: "c-7"
                      + status: "created"
                    v2  2018-01-01T00:00:00.000Z  paid
                      ~ status: "created" → "paid"
                    v3  2018-01-02T00:00:00.000Z  seen
                      changes nothing
                    v4  2018-01-03T00:00:00.000Z  moved
                      + who: "a\\u001bb"

                    """
            )
        }
    }

    @Test("says what is gone, and a state that is")
    func gone() async throws {
        try await CommandTest.with { test in
            try await test.client.script(
                """
                CREATE FUNCTION public.reduce(state jsonb, event millrace.events) RETURNS jsonb LANGUAGE sql AS $$
                    SELECT CASE event.version WHEN 1 THEN event.event_data WHEN 2 THEN state - 'customer' WHEN 3 THEN '1' END
                $$;
                SELECT millrace.register_reducer('order', 'reduce');
                """
            )
            try await fill(test)
            let shown = try await test.command.run(["history", "order", "42", "--from", "2"])
            let lines = shown.output.split(separator: "\n").filter { $0.hasPrefix("  ") }
            #expect(lines == ["  - customer", #"  ~ the state: {"status": "created"} → 1"#, "  - the state"])
            let rebuilt = try await test.command.run(["rebuild", "order", "42"])
            #expect(rebuilt.status == 65)
            #expect(rebuilt.error.contains("has no state"), "\(rebuilt.error)")
        }
    }

    @Test("writes JSON with the state, and leaves out what is not there")
    func json() async throws {
        try await CommandTest.with { test in
            try await fill(test)
            let shown = try await test.command.run(["history", "order", "42", "--from", "2", "--limit", "1", "--json"])
            let document = try shown.json()
            #expect(document["version"] as? Int == 2)
            #expect(document["state"] as? [String: String] == ["customer": "c-7", "status": "paid"])
            let differences = try #require(document["differences"] as? [[String: String]])
            #expect(differences == [["path": "status", "before": "created", "after": "paid"]])
            let first = try await test.command.run(["history", "order", "42", "--limit", "1", "--json"]).json()
            #expect(
                (first["differences"] as? [[String: String]])?.first == ["path": "customer", "after": "c-7"]
            )
        }
    }

    @Test(
        "goes up to a version, a moment, or the beginning of a day",
        arguments: [
            ("1", 1, "created"), ("2017-12-31", 0, nil), ("2018-01-01", 2, "paid"),
            ("2018-01-01T00:00:00+01:00", 1, "created"),
            ("2018-06-01", 4, "paid"),
        ] as [(String, Int, String?)]
    )
    func past(point: String, events: Int, status: String?) async throws {
        try await CommandTest.with { test in
            try await fill(test)
            let history = try await test.command.run(["history", "order", "42", "--as-of", point])
            #expect(history.status == (events == 0 ? 65 : 0), "\(history.error)")
            #expect(history.output.split(separator: "\n").filter { $0.hasPrefix("v") }.count == events)
            let state = try await test.command.run(["rebuild", "order", "42", "--as-of", point, "--json"])
            #expect(state.status == (status == nil ? 65 : 0), "\(state.error)")
            if let status { #expect(try state.json()["status"] as? String == status) }
        }
    }

    @Test(
        "wrong usage is refused",
        arguments: [
            ["--from", "0"], ["--limit", "0"], ["--as-of", "yesterday"], ["--as-of", "2018-02-30"], ["--as-of", "0"],
            ["--as-of", "2", "--from", "3"],
        ]
    )
    func usage(arguments: [String]) async throws {
        try await CommandTest.with { test in
            let refused = try await test.command.run(["history", "order", "42"] + arguments)
            #expect(refused.status == 64, "\(refused.error)")
        }
    }
}
