import Millrace
import MillracePostgres
import MillraceTesting
import Testing

@Suite("operating projections")
struct OperatingProjectionsTests {
    @Test("a generation is listed with what it is, how far it is, and who writes it")
    func listed() async throws {
        try await withStore { store in
            let orders = try await SQLProjection(store)
            #expect(try await store.projections.list().isEmpty)
            try await orders.publish(5)
            try await orders.register()
            let before = try #require(try await store.projections.list().first)
            #expect(before.projection == "orders" && before.generation == 1 && before.version == 1)
            #expect(before.state == .serving && before.mode == .behind && before.publishedIn == "public")
            #expect(before.handler == "orders@1" && before.schema == "orders_g1")
            #expect(before.functions == ["public.put_order"] && before.workers == 0)
            #expect(before.pending == EventCount(events: 5, isExact: true) && before.share == 0)
            try await orders.working {
                try await store.waitUntilProjected(by: "orders")
                let after = try await store.projections.status(of: "orders", generation: 1)
                #expect(after.workers == 1 && after.processed == 5 && after.share == 1 && after.bytes > 0)
            }
            try await expectProjectionRefusal("no projection", "nothing") {
                _ = try await store.projections.list(of: "nothing")
            }
            try await expectProjectionRefusal("no generation 9") {
                _ = try await store.projections.status(of: "orders", generation: 9)
            }
        }
    }

    @Test("a rebuild serves by itself when it is equal, and the one before is gone back to")
    func rebuilt() async throws {
        try await withStore { store in
            let orders = try await SQLProjection(store)
            try await orders.publish(20)
            try await orders.register()
            try await orders.catchUp()
            // What nobody would have computed.
            try await store.client.run("UPDATE orders_g1.orders SET cents = 0")
            #expect(try await orders.served() == "20 0")
            try await orders.working {
                let second = try await store.projections.rebuild("orders")
                #expect(second == 2)
                try await store.projections.waitUntilServing("orders", generation: second)
                #expect(try await orders.served() == "20 2000")
                try await orders.publish(20, cents: 1)
                #expect(try await store.projections.rollBack("orders", reason: "why not") == 1)
                try await store.projections.waitUntilServing("orders", generation: 1)
                try await store.waitUntilProjected(by: "orders")
                #expect(try await orders.served() == "20 20")
                let kept = try await store.projections.status(of: "orders", generation: 2)
                #expect(kept.state == .kept && kept.replacedAt != nil)
                let actions = try await store.handlers.actions(of: "orders@1").map(\.kind)
                #expect(actions == [.swap, .rollBack, .build])
            }
        }
    }

    @Test("what is built without swapping by itself is swapped when it is told")
    func swapped() async throws {
        try await withStore { store in
            let orders = try await SQLProjection(store)
            try await orders.publish(20)
            try await orders.register(", p_indexes => 'CREATE INDEX orders_by_cents ON orders (cents)'")
            try await orders.catchUp()
            try await orders.working {
                let second = try await store.projections.rebuild("orders", swapsByItself: false)
                try await store.projections.waitUntilBuilt("orders", generation: second)
                #expect(try await orders.serving() == 1)
                #expect(try await store.projections.swap("orders") == second)
                #expect(try await orders.serving() == second)
                #expect(try await store.projections.swap("orders", generation: second) == second)
                try await expectProjectionRefusal("is being built") { try await store.projections.swap("orders") }
            }
        }
    }

    @Test("a swap waits for a reader's lock, again and again, and says at last why it could not be made")
    func locked() async throws {
        try await withStore { store in
            let orders = try await SQLProjection(store)
            try await orders.publish(3)
            try await orders.register()
            try await orders.catchUp()
            try await orders.working {
                let second = try await store.projections.rebuild("orders", swapsByItself: false)
                try await store.projections.waitUntilBuilt("orders", generation: second)
                try await store.client.withTransaction { reader in
                    try await reader.query("SELECT count(*) FROM public.orders")
                    await #expect(throws: ProjectionNotReady.self) {
                        try await store.projections.swap("orders", within: .milliseconds(1))
                    }
                }
                #expect(try await store.projections.swap("orders") == second)
            }
        }
    }

    @Test("what nobody runs is not waited for, and the error says who has to run")
    func nobody() async throws {
        try await withStore { store in
            let orders = try await SQLProjection(store)
            try await orders.publish(3)
            try await orders.register()
            try await orders.catchUp()
            let second = try await store.projections.rebuild("orders")
            let expected = ProjectionNotReady.nobodyRuns(
                projection: "orders",
                generation: second,
                version: 1,
                isWrittenByFunctions: true,
                waited: .zero
            )
            await #expect(throws: expected) {
                try await store.projections.waitUntilServing("orders", generation: second, patience: .zero)
            }
            #expect("\(expected)".contains("nobody runs version 1") && "\(expected)".contains("millrace work"))
            try await store.projections.drop("orders", generation: second)

            do {
                _ = try await store.projections.verify("orders", patience: .zero)
                Issue.record("it was built by nobody")
            } catch ProjectionNotReady.nobodyRuns(_, _, let version, _, _) {
                #expect(version == 1)
            }
            #expect(try await store.projections.list().map(\.generation) == [1])
        }
    }

    @Test("a generation whose event failed is not waited for longer than the patience")
    func stuck() async throws {
        try await withStore { store in
            let orders = try await SQLProjection(store)
            try await orders.publish(3)
            try await orders.register()
            try await orders.catchUp()
            try await store.client.script(
                """
                CREATE FUNCTION public.fail_order(event millrace.events) RETURNS void LANGUAGE plpgsql AS $$
                BEGIN IF event.aggregate_id = '2' THEN RAISE 'so be it'; END IF; END $$
                """
            )
            try await orders.register(version: 2, function: "public.fail_order", ", p_max_attempts => 1")
            try await orders.working {
                do {
                    try await store.projections.waitUntilServing("orders", generation: 2, patience: .seconds(1))
                    Issue.record("it served")
                } catch ProjectionNotReady.held(_, let generation, let handler, let reason) {
                    #expect(generation == 2 && handler == "orders@2" && reason.contains("1 of its streams wait"))
                }
                #expect(try await orders.swap(2) == "1 of its streams waits for an event that failed")
            }
        }
    }

    @Test("verifying finds a row that was changed, one that is missing and one too many, and leaves nothing")
    func verified() async throws {
        try await withStore { store in
            let orders = try await SQLProjection(store)
            try await orders.publish(30)
            try await orders.register()
            try await orders.catchUp()
            try await orders.working {
                let sound = try await store.projections.verify("orders")
                #expect(sound.differences.isEmpty && sound.isComplete && sound.generation == 1)
                try await store.client.script(
                    """
                    UPDATE orders_g1.orders SET cents = 7 WHERE id = '3';
                    DELETE FROM orders_g1.orders WHERE id = '4';
                    INSERT INTO orders_g1.orders VALUES ('x', 1, 1);
                    """
                )
                let found = try await store.projections.verify("orders")
                #expect(found.differences.map(\.key?.text) == [#"{"id": "3"}"#, #"{"id": "4"}"#, #"{"id": "x"}"#])
                let changed = try #require(found.differences.first)
                #expect(changed.table == "orders" && changed.columns.map(\.name) == ["cents"])
                #expect(changed.columns[0].served?.text == "7" && changed.columns[0].recomputed?.text == "100")
                #expect(found.differences[1].served == nil && found.differences[2].recomputed == nil)
                let cut = try await store.projections.verify("orders", limit: 2)
                #expect(cut.differences.count == 2 && !cut.isComplete)
                #expect(try await store.projections.list().map(\.generation) == [1])
                #expect(
                    try await store.client.texts(
                        "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'orders\\_g%'"
                    ) == ["orders_g1"]
                )
            }
        }
    }

    @Test("verifying compares both at the same event while events go on to come")
    func verifiedLive() async throws {
        try await withStore { store in
            let orders = try await SQLProjection(store)
            try await orders.publish(200)
            try await orders.register()
            try await orders.working {
                try await store.waitUntilProjected(by: "orders")
                let publishing = Task {
                    while !Task.isCancelled { try await orders.publish(5, cents: 1) }
                }
                for _ in 0..<3 {
                    let verification = try await store.projections.verify("orders")
                    #expect(verification.differences.isEmpty)
                }
                publishing.cancel()
                _ = await publishing.result
            }
        }
    }

    @Test("of a sample only the streams in it are compared")
    func sampled() async throws {
        try await withStore { store in
            let orders = try await SQLProjection(store)
            try await orders.publish(60)
            try await orders.register()
            try await orders.catchUp()
            try await store.client.run("UPDATE orders_g1.orders SET cents = 7")
            let inSample = try await store.client.text(
                "SELECT count(*)::text FROM generate_series(1, 60) AS n WHERE millrace.lane_of('order', n::text, 1000) < 300"
            )
            try await orders.working {
                let found = try await store.projections.verify("orders", sample: 300)
                #expect(found.sample == 300 && "\(found.differences.count)" == inSample)
            }
        }
    }

    @Test("the generation that serves cannot be dropped, any other one can")
    func dropped() async throws {
        try await withStore { store in
            let orders = try await SQLProjection(store)
            try await orders.register()
            let second = try await store.projections.rebuild("orders")
            try await expectProjectionRefusal("generation 1", "serves") {
                try await store.projections.drop("orders", generation: 1)
            }
            try await store.projections.drop("orders", generation: second)
            #expect(try await store.projections.list().map(\.generation) == [1])
            #expect(try await store.client.text("SELECT to_regnamespace('orders_g2')::text") == nil)
        }
    }
}
