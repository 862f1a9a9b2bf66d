import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    @Suite("projections, the functions")
    struct ProjectionFunctionTests {
        @Test("a generation that is behind, or ahead, is not swapped, and by force it is and goes on")
        func unequal() async throws {
            try await withStore { store in
                let orders = try await SQLProjection(store)
                try await orders.publish(3)
                try await orders.register()
                try await orders.catchUp()
                #expect(try await store.projections.rebuild("orders", swapsByItself: false) == 2)
                #expect(try await orders.swap(2) == "it is 3 events behind")
                #expect(try await orders.swap(1) == "it serves already")
                #expect(try await orders.served() == "3 300")
                #expect(try await orders.swap(2, force: true) == nil)
                #expect(try await orders.served() == "0 0")
                // The first is ahead of the one that serves now.
                try await store.projections.rollBack("orders")
                #expect(try await orders.swap(1)?.contains("lanes are ahead") == true)
                #expect(try await orders.swap(1, force: true) == nil)
                #expect(try await orders.served() == "3 300")
                try await orders.publish(3)
                try await orders.catchUp()
                #expect(try await orders.served() == "3 600")
            }
        }

        @Test("a kept generation that is swapped by force goes on being written")
        func keptByForce() async throws {
            try await withStore { store in
                let orders = try await SQLProjection(store)
                try await orders.publish(3)
                try await orders.register()
                try await orders.catchUp()
                _ = try await store.projections.rebuild("orders", swapsByItself: false)
                #expect(try await orders.swap(2, force: true) == nil)
                #expect(try await orders.swap(1, force: true) == nil)
                try await orders.publish(3)
                try await orders.catchUp()
                #expect(try await orders.served() == "3 600")
            }
        }

        @Test("other columns in a new version keep the grants on the view")
        func grants() async throws {
            try await withStore { store in
                let orders = try await SQLProjection(store)
                try await orders.register()
                try await store.client.run("GRANT SELECT ON public.orders TO millrace_publisher WITH GRANT OPTION")
                try await store.client.run("GRANT SELECT ON public.orders TO PUBLIC")
                // A column gone, one of another type: no view can be replaced so in place.
                try await orders.register(
                    version: 2,
                    tables: "CREATE TABLE orders (cents bigint, id text PRIMARY KEY)"
                )
                #expect(try await orders.swap(2) == nil)
                #expect(
                    try await store.client.texts(
                        """
                        SELECT format('%s %s %s', a.grantee::regrole, a.privilege_type, a.is_grantable)
                        FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
                        WHERE c.oid = 'public.orders'::regclass AND a.grantee <> c.relowner
                        ORDER BY 1
                        """
                    ) == ["- SELECT f", "millrace_publisher SELECT t"]
                )
                #expect(
                    try await store.client.texts(
                        "SELECT attname::text FROM pg_attribute WHERE attrelid = 'public.orders'::regclass AND attnum > 0 ORDER BY attnum"
                    ) == ["cents", "id"]
                )
            }
        }

        @Test("what depends on a view stays where its columns stay, and otherwise nothing is swapped")
        func dependents() async throws {
            try await withStore { store in
                let orders = try await SQLProjection(store)
                try await orders.register()
                try await store.client.run("CREATE VIEW public.dear AS SELECT id FROM public.orders WHERE cents > 10")
                try await orders.register(version: 2, tables: SQLProjection.table.replacing(")", with: ", more text)"))
                #expect(try await orders.swap(2) == nil)
                #expect(try await store.client.texts("SELECT id FROM public.dear").isEmpty)
                try await orders.register(version: 3, tables: "CREATE TABLE orders (id int PRIMARY KEY, cents int)")
                try await expectRefusal("MR026", "other columns", "public.orders") { _ = try await orders.swap(3) }
                #expect(try await orders.serving() == 2)
                try await store.client.run("DROP VIEW public.dear")
                #expect(try await orders.swap(3) == nil)
            }
        }

        @Test("a table name that is something else's is refused, and nothing of the projection remains")
        func takenName() async throws {
            try await withStore { store in
                let orders = try await SQLProjection(store)
                try await store.client.run("CREATE TABLE public.orders (id int)")
                try await expectRefusal("MR026", "public.orders", "is there already") { try await orders.register() }
                #expect(try await store.projections.list().isEmpty)
                #expect(try await store.client.text("SELECT to_regnamespace('orders_g1')::text") == nil)
            }
        }

        @Test(
            "names that cannot be the beginning of a schema's are refused",
            arguments: ["", "Orders", "1orders", "or-ders", "a.b", String(repeating: "a", count: 41)]
        )
        func names(name: String) async throws {
            try await withTestDatabase { client in
                try await expectRefusal("MR026", "no name for a projection") {
                    try await client.run("SELECT millrace.register_projection('\(name)', 1, 'CREATE TABLE t (id int)')")
                }
            }
        }

        @Test("the same version again is the same generation; another mode or schema is refused")
        func again() async throws {
            try await withStore { store in
                let orders = try await SQLProjection(store)
                try await orders.register()
                try await orders.register()
                #expect(try await store.projections.list().map(\.generation) == [1])
                try await expectRefusal("MR026", "behind", "not inline") {
                    try await orders.register(version: 2, ", p_mode => 'inline'")
                }
                try await expectRefusal("MR026", "no generation of version 7") {
                    try await store.client.run("SELECT millrace.rebuild_projection('orders', 7)")
                }
                try await expectRefusal("MR026", "no generation", "is kept") {
                    try await store.client.run("SELECT millrace.roll_back_projection('orders')")
                }
                try await expectRefusal("MR026", "generation 1", "serves") {
                    try await store.client.run("SELECT millrace.drop_generation('orders', 1)")
                }
            }
        }

        @Test("who has no rights gets no projection")
        func rights() async throws {
            try await withStore { store in
                let orders = try await SQLProjection(store)
                try await orders.register()
                try await store.client.withConnection { connection in
                    try await connection.run("SET ROLE millrace_publisher")
                    for call in [
                        "register_projection('more', 1, 'CREATE TABLE t (id int)')", "rebuild_projection('orders')",
                        "swap_projection('orders', 1)", "roll_back_projection('orders')",
                        "drop_generation('orders', 1)",
                        "list_projections()", "settle_swap('orders', 1, 0, true, NULL)",
                    ] {
                        try await expectRefusal(.insufficientPrivilege) {
                            try await connection.run("SELECT millrace.\(call)")
                        }
                    }
                    try await connection.run("RESET ROLE")
                    // A consumer may ask, but has to own what is made.
                    try await connection.run("SET ROLE millrace_consumer")
                    try await expectRefusal(.insufficientPrivilege) {
                        try await connection.run("SELECT millrace.rebuild_projection('orders')")
                    }
                    try await connection.run("RESET ROLE")
                }
                #expect(try await store.projections.list().map(\.generation) == [1])
            }
        }

        @Test("a function knows whether an event is only being rebuilt")
        func rebuilding() async throws {
            try await withStore { store in
                let orders = try await SQLProjection(store)
                try await store.client.script(
                    """
                    CREATE TABLE public.letters (position bigint PRIMARY KEY);
                    CREATE FUNCTION public.send_letter(event millrace.events) RETURNS void LANGUAGE plpgsql AS $$
                    BEGIN
                        PERFORM public.put_order(event);
                        IF NOT millrace.is_rebuilding(event) THEN
                            INSERT INTO public.letters VALUES (event.id);
                        END IF;
                    END
                    $$;
                    """
                )
                try await orders.publish(3)
                try await orders.register(function: "public.send_letter")
                try await orders.catchUp()
                #expect(try await store.client.text("SELECT count(*)::text FROM public.letters") == "0")
                try await orders.publish(3)
                try await orders.working {
                    try await store.waitUntilProjected(by: "orders")
                    let second = try await store.projections.rebuild("orders")
                    try await store.projections.waitUntilServing("orders", generation: second)
                    #expect(try await store.client.text("SELECT count(*)::text FROM public.letters") == "3")
                    try await orders.publish(3)
                    try await store.waitUntilProjected(by: "orders")
                }
                #expect(try await store.client.text("SELECT count(*)::text FROM public.letters") == "6")
                #expect(try await orders.served() == "3 900")
            }
        }

        @Test("an inline projection has an event when its append returns, and an append that leaves it out is refused")
        func inline() async throws {
            try await withStore { store in
                let orders = try await SQLProjection(store)
                try await orders.register(", p_mode => 'inline'")
                #expect(try await orders.swap(1) == nil)
                let publish = "publish_and_project('order.paid', '1', 'order', '{\"cents\": 5}'"
                try await store.client.run("SELECT millrace.\(publish))")
                #expect(try await orders.served() == "1 5")
                let id = "00000000-0000-7000-8000-000000000001"
                for _ in 0..<2 {
                    try await store.client.run("SELECT millrace.\(publish), p_event_id => '\(id)')")
                    #expect(try await orders.served() == "1 10")
                }
                try await expectRefusal("MR027", "orders") { try await orders.publish(1) }
                do {
                    try await store.append(
                        [NewEvent(type: "order.paid", data: JSON("{}"))],
                        to: StreamID("order", "1")
                    )
                    Issue.record("was stored")
                } catch EventStoreError.projectionRefused(let message, _) {
                    #expect(message.contains("left out"))
                }
                // What it does not want goes on as ever.
                try await store.client.run("SELECT millrace.publish_event('a', '1', 'other', '{}')")
                #expect(try await store.client.text("SELECT count(*)::text FROM millrace.events") == "3")
            }
        }

        @Test("an inline projection is rebuilt and gone back to under concurrent appends, and loses none")
        func inlineRace() async throws {
            try await withStore(connections: 20) { store in
                let orders = try await SQLProjection(store)
                try await orders.register(", p_mode => 'inline'")
                #expect(try await orders.swap(1) == nil)
                try await orders.working {
                    let publishers = (0..<4).map { _ in
                        Task {
                            var published = 0
                            while !Task.isCancelled {
                                try await store.client.run(
                                    """
                                    SELECT millrace.publish_and_project('order.paid', (n % 20)::text, 'order', '{"cents": 1}')
                                    FROM generate_series(\(published), \(published)) AS n
                                    """
                                )
                                published += 1
                            }
                            return published
                        }
                    }
                    let second = try await store.projections.rebuild("orders")
                    try await store.projections.waitUntilServing("orders", generation: second)
                    try await store.projections.rollBack("orders")
                    try await store.projections.waitUntilServing("orders", generation: 1)
                    for publisher in publishers { publisher.cancel() }
                    for publisher in publishers { _ = await publisher.result }
                    // One statement, one snapshot: whatever is still on its way is in both or in neither.
                    #expect(
                        try await store.client.text(
                            """
                            SELECT (o.cents - e.events)::text
                            FROM (SELECT sum(cents) AS cents FROM public.orders) AS o,
                                 (SELECT count(*) AS events FROM millrace.events WHERE aggregate_type = 'order') AS e
                            """
                        ) == "0"
                    )
                    let found = try await store.projections.verify("orders")
                    #expect(found.differences.isEmpty)
                }
            }
        }
    }
}
