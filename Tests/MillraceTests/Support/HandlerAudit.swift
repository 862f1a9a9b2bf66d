import Millrace
import MillracePostgres

/// What handlers did through their transactions, and how their lanes went, compared with the log: everything that was promised of them.
struct HandlerAudit: Sendable, CustomStringConvertible {
    private(set) var events = 0
    private(set) var effects = 0
    private(set) var missing = 0
    private(set) var doubled = 0
    /// After a later event of their stream.
    private(set) var disordered = 0
    /// Of no event, or in a lane that is not its stream's.
    private(set) var invented = 0
    /// What handlers appended in their transactions: missing, or there twice.
    private(set) var echoesWrong = 0
    /// Event types whose counters are not what was done.
    private(set) var countsWrong = 0
    private(set) var checkpointsBack = 0
    private(set) var tokensReused = 0
    private(set) var leftAside = 0

    var isClean: Bool {
        missing + doubled + disordered + invented + echoesWrong + countsWrong + checkpointsBack + tokensReused
            + leftAside == 0
    }

    var description: String {
        "\(events) events, \(effects) effects, \(missing) missing, \(doubled) doubled, \(disordered) out of order, "
            + "\(invented) invented, \(echoesWrong) echoes wrong, \(countsWrong) counts wrong, "
            + "\(checkpointsBack) checkpoints back, \(tokensReused) tokens reused, \(leftAside) left aside"
    }

    /// The tables that workers and triggers write down in what happens; once, in a migrated database.
    static func prepare(_ client: PostgresClient) async throws { try await client.script(tables) }

    init(of client: PostgresClient) async throws {
        let row = try await client.query(HandlerAudit.everything).single()
        func number(_ name: String) throws -> Int { Int(try row.decode(Int64.self, named: name)) }
        events = try number("events")
        effects = try number("effects")
        missing = try number("missing")
        doubled = try number("doubled")
        disordered = try number("disordered")
        invented = try number("invented")
        echoesWrong = try number("echoes_wrong")
        countsWrong = try number("counts_wrong")
        checkpointsBack = try number("checkpoints_back")
        tokensReused = try number("tokens_reused")
        leftAside = try number("left_aside")
    }

    private static let tables = """
        CREATE SCHEMA chaos;
        CREATE TABLE chaos.mended (at timestamptz NOT NULL);
        -- No constraint keeps anything from happening twice.
        CREATE TABLE chaos.effects (
            number   bigint GENERATED ALWAYS AS IDENTITY,
            handler  text   NOT NULL,
            position bigint NOT NULL,
            event_id uuid   NOT NULL,
            stream   text   NOT NULL,
            version  int    NOT NULL,
            lane     int    NOT NULL,
            attempt  int    NOT NULL,
            worker   text   NOT NULL
        );
        CREATE INDEX ON chaos.effects (handler, position);
        CREATE TABLE chaos.lane_history (
            number         bigint GENERATED ALWAYS AS IDENTITY,
            handler        text   NOT NULL,
            lane           int    NOT NULL,
            old_checkpoint bigint NOT NULL,
            new_checkpoint bigint NOT NULL,
            old_token      bigint NOT NULL,
            new_token      bigint NOT NULL,
            worker         uuid
        );
        CREATE FUNCTION chaos.note_lane() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            INSERT INTO chaos.lane_history (handler, lane, old_checkpoint, new_checkpoint, old_token, new_token, worker)
            VALUES (NEW.handler_id, NEW.lane, OLD.checkpoint, NEW.checkpoint, OLD.token, NEW.token, NEW.worker_id);
            RETURN NULL;
        END
        $$;
        CREATE TRIGGER note_lane AFTER UPDATE ON millrace.handler_lanes FOR EACH ROW
        WHEN ((OLD.checkpoint, OLD.token, OLD.worker_id) IS DISTINCT FROM (NEW.checkpoint, NEW.token, NEW.worker_id))
        EXECUTE FUNCTION chaos.note_lane();
        """

    private static let everything: PostgresStatement = """
        WITH wanted AS (
            SELECT h.handler_id AS handler, h.lanes, e.id AS position, e.event_type, e.aggregate_type, e.aggregate_id, e.version
            FROM millrace.events AS e
            JOIN millrace.event_handlers AS h ON h.event_types IS NULL OR e.event_type = ANY (h.event_types)
        ), done AS (
            SELECT f.handler, f.position, count(*) AS times FROM chaos.effects AS f GROUP BY f.handler, f.position
        ), streams AS (
            SELECT f.version, lag(f.version) OVER (PARTITION BY f.handler, f.stream ORDER BY f.number) AS before
            FROM chaos.effects AS f
        ), echoes AS (
            SELECT e.metadata ->> 'causation_id' AS cause, count(*) AS times
            FROM millrace.events AS e WHERE e.event_type = 'chaos.echo' GROUP BY 1
        ), calls AS (
            SELECT e.event_id::text AS cause FROM millrace.events AS e
            WHERE e.event_type = 'chaos.event' AND e.event_data @> '{"echoes": true}'
              AND EXISTS (SELECT FROM millrace.event_handlers AS h WHERE h.handler_id = 'each')
        ), history AS (
            SELECT l.*, lag(l.new_checkpoint) OVER w AS last_checkpoint, lag(l.new_token) OVER w AS last_token
            FROM chaos.lane_history AS l WINDOW w AS (PARTITION BY l.handler, l.lane ORDER BY l.number)
        )
        SELECT
            (SELECT count(DISTINCT w.position) FROM wanted AS w) AS events,
            (SELECT count(*) FROM chaos.effects) AS effects,
            (SELECT count(*) FROM wanted AS w LEFT JOIN done AS d USING (handler, position) WHERE d.times IS NULL) AS missing,
            (SELECT coalesce(sum(d.times - 1), 0)::bigint FROM done AS d) AS doubled,
            (SELECT count(*) FROM streams AS s WHERE s.version < s.before) AS disordered,
            (SELECT count(*) FROM chaos.effects AS f LEFT JOIN wanted AS w USING (handler, position)
             WHERE w.position IS NULL OR f.version <> w.version
                OR f.lane <> millrace.lane_of(w.aggregate_type, w.aggregate_id, w.lanes)) AS invented,
            (SELECT count(*) FROM echoes AS e FULL JOIN calls AS c USING (cause) WHERE e.times IS DISTINCT FROM 1 OR c.cause IS NULL)
                AS echoes_wrong,
            (SELECT count(*) FROM (SELECT c.handler_id AS handler, c.event_type, sum(c.processed) AS processed
                                   FROM millrace.handler_counts AS c GROUP BY 1, 2) AS c
             FULL JOIN (SELECT w.handler, w.event_type, count(*) AS processed FROM wanted AS w GROUP BY 1, 2) AS w
                USING (handler, event_type)
             WHERE c.processed IS DISTINCT FROM w.processed) AS counts_wrong,
            (SELECT count(*) FROM history AS h
             WHERE h.new_checkpoint < h.old_checkpoint OR h.old_checkpoint <> coalesce(h.last_checkpoint, h.old_checkpoint))
                AS checkpoints_back,
            (SELECT count(*) FROM history AS h WHERE h.new_token < h.old_token OR h.old_token <> coalesce(h.last_token, h.old_token))
            + (SELECT count(*) FROM (SELECT FROM chaos.lane_history AS l WHERE l.worker IS NOT NULL
                                     GROUP BY l.handler, l.lane, l.new_token HAVING count(DISTINCT l.worker) > 1) AS r)
                AS tokens_reused,
            (SELECT count(*) FROM millrace.parked_events) AS left_aside
        """
}
