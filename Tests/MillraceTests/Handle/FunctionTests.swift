import Millrace
import MillracePostgres
import Testing

/// Functions of the database that a worker runs: the daemon's part. What they promise is in Schema/SQLHandlerTests.
@Suite(.timeLimit(.minutes(15)))
struct FunctionTests {
    private func withFunction(_ body: String, _ test: (Handling) async throws -> Void) async throws {
        try await withStore { store in
            let handling = try await Handling(store)
            try await store.client.script(
                """
                CREATE FUNCTION public.on_event(event millrace.events) RETURNS text LANGUAGE plpgsql AS $$
                BEGIN
                    \(body)
                    INSERT INTO public.effects (handler, position, stream, version)
                    VALUES ('f', event.id, event.aggregate_type || '/' || event.aggregate_id, event.version);
                    RETURN 'done';
                END
                $$
                """
            )
            try await test(handling)
        }
    }

    private var daemon: WorkerOptions {
        WorkerOptions(lease: .milliseconds(600), beat: .milliseconds(50), runsSQLHandlers: true)
    }

    private func register(_ handling: Handling) async throws {
        try await handling.store.client.query("SELECT millrace.register_sql_handler('f', '{t}', 'public.on_event', 4)")
    }

    @Test func oneThatIsRegisteredWhileTheDaemonRunsIsRun() async throws {
        try await withFunction("") { handling in
            try await handling.publish(streams: 6, events: 10)
            try await handling.working([], options: daemon) { _ in
                try await register(handling)
                try await handling.isDone("f")
                try await handling.publish(streams: 6, events: 2)
                try await handling.isDone("f")
            }
            expectStreamOrder(try await handling.effects(of: "f"), streams: 6, events: 12)
        }
    }

    @Test func twoDaemonsShareItAndOneReplaysIt() async throws {
        try await withFunction("") { handling in
            try await handling.publish(streams: 20, events: 10)
            try await register(handling)
            try await handling.working([], options: daemon) { first in
                try await handling.working([], options: daemon) { second in
                    try await eventually("they share") { first.lanes["f"]?.count == 2 && second.lanes["f"]?.count == 2 }
                    try await handling.isDone("f")
                }
                expectStreamOrder(try await handling.effects(of: "f"), streams: 20, events: 10)
                try await handling.store.client.script("TRUNCATE effects")
                try await handling.store.client.query("SELECT * FROM millrace.request_replay('f', 101)")
                try await eventually("it is replayed") {
                    try await handling.texts("SELECT format('%s %s', state, processed) FROM millrace.list_replays()")
                        == ["finished 100"]
                }
                #expect(
                    try await handling.texts("SELECT format('%s %s', count(*), min(position)) FROM effects") == [
                        "100 101"
                    ]
                )
            }
        }
    }

    @Test func whatItRefusesWaitsAndIsRetried() async throws {
        try await withFunction(
            "IF event.aggregate_id = '1' AND event.version = 2 AND NOT EXISTS (SELECT FROM public.mended) THEN RETURN 'park'; END IF;"
        ) { handling in
            try await handling.store.client.script("CREATE TABLE public.mended (at timestamptz)")
            try await handling.publish(streams: 3, events: 4)
            try await register(handling)
            try await handling.working([], options: daemon) { _ in
                try await handling.isDone("f")
                #expect(
                    try await handling.texts(
                        "SELECT format('%s %s', aggregate_id, waiting) FROM millrace.parked_events"
                    ) == ["1 2"]
                )
                try await handling.store.client.script("INSERT INTO public.mended VALUES (now())")
                try await handling.store.client.query("SELECT * FROM millrace.retry_parked(p_handler_id => 'f')")
                try await handling.isDone("f")
                try await eventually("nothing waits") {
                    try await handling.texts("SELECT count(*)::text FROM millrace.parked_events") == ["0"]
                }
            }
            expectStreamOrder(try await handling.effects(of: "f"), streams: 3, events: 4)
        }
    }

    @Test func whatItStoppedBeforeIsTheNextAfterwards() async throws {
        try await withFunction(
            "IF event.version = 3 AND NOT EXISTS (SELECT FROM public.mended) THEN RETURN 'stop'; END IF;"
        ) { handling in
            try await handling.store.client.script("CREATE TABLE public.mended (at timestamptz)")
            try await handling.publish(streams: 5, events: 4)
            try await register(handling)
            try await handling.working([], options: daemon) { worker in
                // Where the cause is still there it stops again.
                for isMended in [false, false, true] {
                    try await eventually("it has stopped") {
                        try await handling.texts("SELECT state FROM millrace.event_handlers") == ["stopped"]
                    }
                    try await eventually("it has no lane") { worker.lanes["f"] == [] }
                    if isMended { try await handling.store.client.script("INSERT INTO public.mended VALUES (now())") }
                    try await handling.store.client.query("SELECT millrace.resume_handler('f')")
                }
                try await handling.isDone("f")
            }
            expectStreamOrder(try await handling.effects(of: "f"), streams: 5, events: 4)
        }
    }

    @Test func pausingItOverAndOverLosesNothing() async throws {
        try await withFunction("") { handling in
            try await register(handling)
            try await handling.working([], options: daemon) { _ in
                for _ in 1...40 {
                    try await handling.store.client.query("SELECT millrace.stop_handler('f', 'paused', 'to see')")
                    try await handling.publish(streams: 10, events: 2)
                    try await handling.store.client.query("SELECT millrace.resume_handler('f')")
                    try await handling.publish(streams: 10, events: 1)
                }
                try await handling.isDone("f")
            }
            expectStreamOrder(try await handling.effects(of: "f"), streams: 10, events: 120)
        }
    }

    @Test func whatItSetsMeetsNobodyElse() async throws {
        try await withFunction("SET default_transaction_read_only = on; SET search_path = pg_catalog;") { handling in
            try await handling.publish(streams: 5, events: 4)
            try await register(handling)
            let other = Handler("other") { event, context in
                try await Handling.note(event, context)
                return .done
            }
            try await handling.working([other], options: daemon) { _ in
                try await handling.isDone("f")
                try await handling.isDone("other")
                try await handling.publish(streams: 5, events: 4)
                try await handling.isDone("f")
                try await handling.isDone("other")
            }
            #expect(try await handling.texts("SELECT count(*)::text FROM millrace.event_audit") == ["0"])
            expectStreamOrder(try await handling.effects(of: "other"), streams: 5, events: 8)
        }
    }

    @Test func oneThatCannotBeRunAnyMoreIsStoppedAndSaysWhy() async throws {
        try await withFunction("") { handling in
            try await register(handling)
            try await handling.working([], options: daemon) { worker in
                try await eventually("it has lanes") { worker.lanes["f"]?.count == 4 }
                try await handling.store.client.script(
                    "ALTER FUNCTION public.on_event(millrace.events) RENAME TO elsewhere"
                )
                try await handling.publish(streams: 5, events: 2)
                try await eventually("it has stopped") {
                    try await handling.texts(
                        "SELECT format('%s %s', state, state_reason LIKE '%on_event%') FROM millrace.event_handlers"
                    )
                        == ["stopped t"]
                }
                try await handling.store.client.script(
                    "ALTER FUNCTION public.elsewhere(millrace.events) RENAME TO on_event"
                )
                try await handling.store.client.query("SELECT millrace.resume_handler('f')")
                try await handling.isDone("f")
            }
            expectStreamOrder(try await handling.effects(of: "f"), streams: 5, events: 2)
        }
    }
}
