import Millrace
import MillracePostgres
import Testing

/// SQL handlers in a database of the test's own, with a function whose fate for each event the test decides.
struct SQLHandling: Sendable {
    let client: PostgresClient

    /// `public.note` writes down what it handled, as whom, then ends as `fates` says: an answer, `raise` or `assert`.
    init(_ client: PostgresClient) async throws {
        self.client = client
        try await client.script(
            """
            CREATE TABLE public.effects (
                number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, position bigint NOT NULL UNIQUE, stream text NOT NULL,
                version int NOT NULL, data jsonb NOT NULL, who text NOT NULL
            );
            CREATE TABLE public.fates (
                stream text NOT NULL, version int NOT NULL, fate text NOT NULL, PRIMARY KEY (stream, version)
            );
            CREATE FUNCTION public.note(event millrace.events) RETURNS text LANGUAGE plpgsql AS $$
            DECLARE
                v_fate text := (SELECT f.fate FROM public.fates AS f WHERE f.stream = event.aggregate_id AND f.version = event.version);
            BEGIN
                INSERT INTO public.effects (position, stream, version, data, who)
                VALUES (event.id, event.aggregate_id, event.version, event.event_data, current_user);
                IF v_fate = 'raise' THEN
                    RAISE EXCEPTION 'so be it' USING ERRCODE = 'P4242';
                ELSIF v_fate = 'assert' THEN
                    ASSERT false, 'so be it';
                END IF;
                RETURN v_fate;
            END
            $$;
            """
        )
    }

    /// Registers `note` for events of the type `t`: one lane, so that a run is a run of everything.
    func register(_ handler: String = "h", lanes: Int = 1, _ more: String = "") async throws {
        try await client.run(
            "SELECT millrace.register_sql_handler('\(handler)', '{t}', 'public.note', p_lanes => \(lanes)\(more))"
        )
    }

    /// Publishes an event of the type `t`, and returns its id.
    @discardableResult
    func publish(_ stream: String, type: String = "t") async throws -> String {
        try #require(
            try await client.text("SELECT millrace.publish_event('\(type)', '\(stream)', 's', '{}')::text")
        )
    }

    func decide(_ stream: String, _ version: Int, _ fate: String?) async throws {
        try await client.run("DELETE FROM public.fates WHERE stream = '\(stream)' AND version = \(version)")
        guard let fate else { return }
        try await client.run("INSERT INTO public.fates VALUES ('\(stream)', \(version), '\(fate)')")
    }

    /// Runs the lane under the token that it has: handled, failed, checkpoint, is_last.
    @discardableResult
    func run(_ handler: String = "h", limit: Int = 1000) async throws -> String? {
        try await client.text(
            """
            SELECT format('%s %s %s %s', r.handled, r.failed, r.checkpoint, r.is_last)
            FROM millrace.handler_lanes AS l, millrace.run_sql_handler(l.handler_id, l.lane, l.token, 'test', \(limit)) AS r
            WHERE l.handler_id = '\(handler)' AND l.lane = 0
            """
        )
    }

    func process(_ event: String, _ handler: String? = nil) async throws -> Bool {
        let handler = handler.map { ", '\($0)'" } ?? ""
        return try await client.text("SELECT millrace.process_event('\(event)'\(handler))::text") == "true"
    }

    /// What was done, in its order: stream and version.
    var effects: [String?] {
        get async throws {
            try await client.texts(
                "SELECT format('%s%s', e.stream, e.version) FROM public.effects AS e ORDER BY e.number"
            )
        }
    }

    /// The streams that wait: stream, version of the head, status, attempts, waiting.
    var parked: [String?] {
        get async throws {
            try await client.texts(
                """
                SELECT format('%s%s %s %s %s', p.aggregate_id, p.version, p.status, p.attempts, p.waiting)
                FROM millrace.parked_events AS p ORDER BY p.aggregate_id
                """
            )
        }
    }

    var checkpoints: [String?] {
        get async throws {
            try await client.texts(
                "SELECT l.checkpoint::text FROM millrace.handler_lanes AS l ORDER BY l.handler_id, l.lane"
            )
        }
    }

    var ahead: [String?] {
        get async throws {
            try await client.texts(
                "SELECT format('%s %s', a.aggregate_id, a.position) FROM millrace.handled_ahead AS a ORDER BY a.aggregate_id"
            )
        }
    }

    /// Lets what waits for a time be due.
    func hurry() async throws {
        try await client.run(
            "UPDATE millrace.parked_events SET next_attempt_at = clock_timestamp() WHERE status <> 'parked'"
        )
    }

    /// What an operator does with what is parked.
    func retryParked() async throws { try await client.run("SELECT millrace.retry_parked(p_status => 'parked')") }
    func discardParked() async throws { try await client.run("SELECT millrace.discard_parked('out of date')") }
}
