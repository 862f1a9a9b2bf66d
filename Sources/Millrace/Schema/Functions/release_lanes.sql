-- Gives lanes back, those that are still his, and where p_leaves says so the worker's place too: the others take them at once.
-- Answers how many are left, because a transaction of his has settled them and has not ended: they are to be given back again later.
CREATE OR REPLACE FUNCTION millrace.release_lanes(
    p_handler_id text, p_worker_id uuid, p_lanes int[], p_tokens bigint[], p_scanned bigint[], p_leaves boolean
) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    IF p_leaves THEN
        DELETE FROM millrace.handler_workers AS w WHERE w.handler_id = p_handler_id AND w.worker_id = p_worker_id;
    END IF;
    UPDATE millrace.handler_lanes AS l
    SET worker_id = NULL,
        leased_until = NULL,
        checkpoint = greatest(l.checkpoint, h.scanned)
    FROM (
        SELECT f.lane, CASE WHEN e.kind = 'swift' THEN h.scanned END AS scanned
        FROM millrace.handler_lanes AS f
        JOIN millrace.event_handlers AS e ON e.handler_id = f.handler_id
        JOIN unnest(p_lanes, p_tokens, p_scanned) AS h (lane, token, scanned) ON h.lane = f.lane AND h.token = f.token
        WHERE f.handler_id = p_handler_id AND f.worker_id = p_worker_id
        ORDER BY f.lane
        FOR UPDATE OF f SKIP LOCKED
    ) AS h
    WHERE l.handler_id = p_handler_id AND l.lane = h.lane;
    IF FOUND OR p_leaves THEN
        PERFORM millrace.ring_handlers(p_handler_id);
    END IF;
    RETURN (
        SELECT count(*)
        FROM millrace.handler_lanes AS l
        JOIN unnest(p_lanes, p_tokens) AS h (lane, token) ON h.lane = l.lane AND h.token = l.token
        WHERE l.handler_id = p_handler_id AND l.worker_id = p_worker_id
    );
END
$$;

REVOKE ALL ON FUNCTION millrace.release_lanes(text, uuid, int[], bigint[], bigint[], boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.release_lanes(text, uuid, int[], bigint[], bigint[], boolean) TO millrace_consumer, millrace_admin;
