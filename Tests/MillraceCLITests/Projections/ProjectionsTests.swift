import Foundation
import Logging
import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension CommandTest {
    /// A projection `orders` that a function writes, with nothing in it, and so many events for it: one for each order.
    func projection(events: Int = 5) async throws -> EventStore {
        try await client.script(
            """
            CREATE FUNCTION public.put_order(event millrace.events) RETURNS void LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO orders VALUES (event.aggregate_id, (event.event_data ->> 'cents')::int)
                ON CONFLICT (id) DO UPDATE SET cents = orders.cents + excluded.cents;
            END
            $$;
            SELECT millrace.register_projection('orders', 1, 'CREATE TABLE orders (id text PRIMARY KEY, cents int)', '{public.put_order}', NULL,
                                                '{order}', p_lanes => 4);
            """
        )
        try await client.query(
            """
            SELECT millrace.publish_event('order.paid', n::text, 'order', '{"cents": 100}') FROM generate_series(1, $1) AS n
            """,
            [.int4(Int32(events))]
        )
        return EventStore(client)
    }

    /// Runs what the daemon runs, for as long as the body takes.
    func working(_ store: EventStore, _ body: () async throws -> Void) async throws {
        var quiet = Logger(label: "tests")
        quiet.logLevel = .critical
        let worker = HandlerWorker(
            store,
            options: WorkerOptions(lease: .milliseconds(600), beat: .milliseconds(50), runsSQLHandlers: true),
            logger: quiet
        )
        let task = Task { try await worker.run() }
        do {
            try await store.waitUntilProjected(by: "orders")
            try await body()
        } catch {
            task.cancel()
            _ = try? await task.value
            throw error
        }
        worker.stop()
        try await task.value
    }

    var sum: Int64 {
        get async throws { try await number("SELECT coalesce(sum(cents), 0)::bigint FROM public.orders") }
    }
}

@Suite("millrace projections")
struct ProjectionsTests {
    @Test("no projection is no error, and an unknown one is")
    func none() async throws {
        try await CommandTest.with { test in
            let text = try await test.command.run(["projections"])
            #expect(text.status == 0 && text.output.hasPrefix("There is no projection"), "\(text.error)")
            #expect(try await test.documents(["projections"]).isEmpty)
            try await test.expectFailure(1, ["projections", "list", "orders"], "no projection", "orders")
            try await test.expectFailure(1, ["projections", "rebuild", "orders", "--yes"], "no projection", "orders")
        }
    }

    @Test("show every generation on a line of 80 columns, and who has to run where nobody does")
    func list() async throws {
        try await CommandTest.with { test in
            let store = try await test.projection(events: 1_234)
            #expect(try await store.projections.rebuild("orders", swapsByItself: false) == 2)
            let text = try await test.command.run(["projections", "--rate"])
            #expect(text.status == 0, "\(text.error)")
            let lines = text.output.split(separator: "\n").map(String.init)
            #expect(lines.allSatisfy { $0.count <= 80 }, "\(text.output)")
            #expect(lines.first == "orders, behind, in public")
            #expect(lines[2].hasPrefix("  1    1  serving     0 %    1,234"), "\(text.output)")
            #expect(lines[3].hasPrefix("  2    1  building    0 %    1,234"), "\(text.output)")
            #expect(lines.contains("generation 2: nobody runs version 1 of it; run the daemon (millrace up, or work)"))
            #expect(lines.contains("generation 2 serves after: millrace projections swap orders"))

            let all = try await test.documents(["projections"])
            #expect(all.map { $0["state"] as? String } == ["serving", "building"])
            #expect(all[1]["pending"] as? Int == 1_234 && all[1]["workers"] as? Int == 0)
            #expect(all[1]["swaps_by_itself"] as? Bool == false && all[1]["built"] as? Double == 0)
        }
    }

    @Test("what changes something is not done without a yes")
    func asks() async throws {
        try await CommandTest.with { test in
            let store = try await test.projection()
            #expect(try await store.projections.rebuild("orders", swapsByItself: false) == 2)
            for arguments in [
                ["rebuild"], ["swap"], ["swap", "--force"], ["rollback"], ["drop", "--generation", "2"],
            ] {
                try await test.expectFailure(
                    64,
                    ["projections", arguments[0], "orders"] + arguments.dropFirst(),
                    "nothing was changed",
                    "--yes"
                )
            }
            #expect(try await store.projections.list().map(\.state) == [.serving, .building])
        }
    }

    @Test("rebuild until it serves, go back, and drop what is not needed")
    func rebuild() async throws {
        try await CommandTest.with { test in
            let store = try await test.projection()
            try await test.working(store) {
                try await test.client.query("UPDATE orders_g1.orders SET cents = 0")
                let built = try await test.command.run(["projections", "rebuild", "orders", "--yes"])
                #expect(built.status == 0 && built.output == "Generation 2 of orders serves.\n", "\(built)")
                #expect(try await test.sum == 500)
                let back = try await test.command.run(["projections", "rollback", "orders", "--yes"])
                #expect(back.status == 0 && back.output == "Generation 1 of orders serves again.\n", "\(back)")
                #expect(try await test.sum == 0)
                try await test.expectFailure(
                    1,
                    ["projections", "drop", "orders", "--generation", "1", "--yes"],
                    "generation 1",
                    "serves"
                )
                let dropped = try await test.command.run([
                    "projections", "drop", "orders", "--generation", "2", "--yes",
                ])
                #expect(dropped.status == 0 && dropped.output.hasPrefix("Generation 2 of orders is dropped"))
                #expect(try await store.projections.list().map(\.generation) == [1])
            }
        }
    }

    @Test("leave it built with --no-swap, and swap it afterwards; go back at once with --now")
    func swap() async throws {
        try await CommandTest.with { test in
            let store = try await test.projection()
            try await test.working(store) {
                let built = try await test.command.run(["projections", "rebuild", "orders", "--no-swap", "--yes"])
                #expect(built.status == 0 && built.output.contains("projections swap orders"), "\(built)")
                #expect(try await store.projections.list().map(\.state) == [.serving, .building])
                let swapped = try await test.documents(["projections", "swap", "orders", "--yes"])
                #expect(swapped.first?["generation"] as? Int == 2 && swapped.first?["state"] as? String == "serving")
                let back = try await test.documents(["projections", "rollback", "orders", "--now", "--yes"])
                #expect(back.first?["generation"] as? Int == 1 && back.first?["state"] as? String == "serving")
                #expect(try await test.sum == 500)
            }
        }
    }

    @Test("give up where nobody builds it, and leave it asked for")
    func nobody() async throws {
        try await CommandTest.with { test in
            let store = try await test.projection()
            try await test.working(store) {}
            try await test.expectFailure(
                1,
                ["projections", "rebuild", "orders", "--patience", "1", "--yes"],
                "nobody runs version 1",
                "millrace work"
            )
            #expect(try await store.projections.list().map(\.state) == [.serving, .building])
            try await test.expectFailure(
                1,
                ["projections", "verify", "orders", "--patience", "1"],
                "nobody runs version 1"
            )
            #expect(try await store.projections.list().map(\.generation) == [1, 2])
        }
    }

    @Test("Ctrl-C leaves a rebuild being built, and nothing of a verification")
    func interrupted() async throws {
        try await CommandTest.with { test in
            let store = try await test.projection()
            for (command, left) in [("verify", 1), ("rebuild", 2)] {
                let running = try await test.command.start(
                    ["projections", command, "orders"] + (command == "rebuild" ? ["--yes"] : [])
                )
                try await eventually("it is asked for") { try await store.projections.list().count == 2 }
                running.interrupt()
                let result = try await running.result()
                #expect(result.status == 130, "\(result)")
                #expect(try await store.projections.list().count == left)
            }
        }
    }

    @Test("verify shows the rows and columns in which what serves is not what the log says, and ends with a status")
    func verify() async throws {
        try await CommandTest.with { test in
            let store = try await test.projection()
            try await test.working(store) {
                let sound = try await test.command.run(["projections", "verify", "orders"])
                #expect(sound.status == 0 && sound.output.hasSuffix(": no difference.\n"), "\(sound)")
                try await test.client.query("UPDATE orders_g1.orders SET cents = 7 WHERE id = '3'")
                let wrong = try await test.command.run(["projections", "verify", "orders"])
                #expect(
                    wrong.status == 5 && wrong.output.hasPrefix("orders {\"id\": \"3\"}: cents: 7 → 100\n"),
                    "\(wrong)"
                )
                #expect(wrong.output.contains("1 row differs") && wrong.error.contains("projections rebuild orders"))
                let json = try await test.command.run(["projections", "verify", "orders", "--json"])
                let lines = json.output.split(separator: "\n")
                #expect(json.status == 5 && lines.count == 2 && lines[1].contains(#""differences":1"#), "\(json)")
            }
        }
    }
}

@Suite("millrace doctor on projections")
struct ProjectionChecksTests {
    private func checks(_ test: CommandTest, status: Int32, _ name: String = "projections") async throws
        -> [[String: String]]
    {
        let result = try await test.command.run(["doctor", "--json", "--patience", "0"])
        #expect(result.status == status, "\(result.output) \(result.error)")
        return try #require(try result.json()["checks"] as? [[String: String]]).filter { $0["name"] == name }
    }

    @Test("finds nothing wrong where each is written as it should be, and one is kept")
    func sound() async throws {
        try await CommandTest.with(durability: .full) { test in
            #expect(try await checks(test, status: 0).map { $0["finding"] } == ["none"])
            let store = try await test.projection()
            try await test.working(store) {
                let second = try await store.projections.rebuild("orders")
                try await store.projections.waitUntilServing("orders", generation: second)
                #expect(try await checks(test, status: 0).map { $0["verdict"] } == ["ok"])
                #expect(try await checks(test, status: 0, "handlers").map { $0["verdict"] } == ["ok"])
            }
        }
    }

    @Test("finds what nobody writes or builds, what has stopped, and says what to do")
    func unwritten() async throws {
        try await CommandTest.with(durability: .full) { test in
            let store = try await test.projection()
            #expect(try await store.projections.rebuild("orders") == 2)
            let both = try await checks(test, status: 5)
            #expect(both.map { $0["verdict"] } == ["failed", "warning"], "\(both)")
            #expect(both[0]["finding"]?.contains("nobody writes generation 1 of orders") == true, "\(both)")
            #expect(both[1]["finding"]?.contains("nobody builds generation 2 of orders") == true)
            #expect(both[1]["remedy"]?.contains("run the daemon") == true)
            try await test.client.query("SELECT millrace.stop_handler('orders@2', 'stopped', 'poison')")
            let stopped = try await checks(test, status: 5)
            #expect(stopped[1]["verdict"] == "failed" && stopped[1]["finding"]?.contains("poison") == true)
            #expect(
                stopped[1]["remedy"]?.contains("millrace resume orders@2") == true
                    || stopped[1]["remedy"]?.contains("'orders@2'") == true
            )
        }
    }
}
