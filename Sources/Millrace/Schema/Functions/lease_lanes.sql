-- A worker's beat for one handler: it says that it is there, goes on holding its lanes, and gets or is asked for those that make the
-- lanes of all workers even. One row a lane:
-- held: it is still his. p_scanned, where it is given, becomes the lane's checkpoint: he has found nothing up to there.
-- leased: it is his from now on, from this checkpoint on, under this token.
-- surrender: somebody else should have it: finish what is under way, then release_lanes.
-- lost: it is no longer his; he cannot settle anything in it any more.
-- Nothing but the rows of the handler is touched: lanes that somebody works on in this moment are passed over.
CREATE OR REPLACE FUNCTION millrace.lease_lanes(
    p_handler_id text,
    p_worker_id  uuid,
    p_worker     text,
    p_lease_ms   int,
    p_lanes      int[],
    p_tokens     bigint[],
    p_scanned    bigint[]
) RETURNS TABLE (verdict text, lane int, token bigint, checkpoint bigint, state text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_now     timestamptz := clock_timestamp();
    v_until   timestamptz := v_now + make_interval(secs => p_lease_ms / 1000.0);
    v_handler millrace.event_handlers := millrace.find_handler(p_handler_id);
    v_share   int;
    v_held    int[];
BEGIN
    IF (p_lease_ms BETWEEN 100 AND 3600000) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('p_lease_ms is %s', coalesce(p_lease_ms::text, 'missing')),
            HINT = 'Give a number from 100 to 3600000.';
    END IF;

    INSERT INTO millrace.handler_workers AS w (handler_id, worker_id, name, seen_until)
    VALUES (p_handler_id, p_worker_id, p_worker, v_until)
    ON CONFLICT ON CONSTRAINT handler_workers_pkey DO UPDATE SET seen_until = excluded.seen_until, name = excluded.name;
    -- Long dead, so that two workers do not wait for each other over a third.
    DELETE FROM millrace.handler_workers AS w
    WHERE (w.handler_id, w.worker_id) IN (
        SELECT d.handler_id, d.worker_id FROM millrace.handler_workers AS d
        WHERE d.handler_id = p_handler_id AND d.seen_until < v_now - interval '1 minute'
        FOR UPDATE SKIP LOCKED
    );

    UPDATE millrace.handler_lanes AS l
    SET leased_until = v_until,
        moved_at = CASE WHEN free.scanned > l.checkpoint THEN v_now ELSE l.moved_at END,
        stored_at = CASE WHEN free.scanned > l.checkpoint THEN NULL ELSE l.stored_at END,
        checkpoint = greatest(l.checkpoint, free.scanned)
    FROM (
        -- What a function was given only its own run says: it may have stopped, or been paused, before what the worker has seen.
        SELECT f.handler_id, f.lane, CASE WHEN v_handler.kind = 'swift' THEN h.scanned END AS scanned
        FROM millrace.handler_lanes AS f
        JOIN unnest(p_lanes, p_tokens, p_scanned) AS h (lane, token, scanned) ON h.lane = f.lane AND h.token = f.token
        WHERE f.handler_id = p_handler_id AND f.worker_id = p_worker_id
        ORDER BY f.lane
        FOR UPDATE OF f SKIP LOCKED
    ) AS free
    WHERE l.handler_id = free.handler_id AND l.lane = free.lane;

    -- The rows that are locked, by the worker's own transactions, cannot be taken from him meanwhile.
    v_held := ARRAY(
        SELECT l.lane
        FROM millrace.handler_lanes AS l
        JOIN unnest(p_lanes, p_tokens) AS h (lane, token) ON h.lane = l.lane AND h.token = l.token
        WHERE l.handler_id = p_handler_id AND l.worker_id = p_worker_id
        ORDER BY l.lane
    );

    SELECT v_handler.lanes / count(*)
           + CASE WHEN count(*) FILTER (WHERE w.worker_id < p_worker_id) < v_handler.lanes % count(*) THEN 1 ELSE 0 END
    INTO STRICT v_share
    FROM millrace.handler_workers AS w
    WHERE w.handler_id = p_handler_id AND w.seen_until > v_now;
    IF v_handler.state <> 'active' THEN
        v_share := 0;
    END IF;

    RETURN QUERY
    SELECT CASE
               WHEN h.lane <> ALL (v_held) THEN 'lost'
               WHEN array_position(v_held, h.lane) > v_share THEN 'surrender'
               ELSE 'held'
           END, h.lane, h.token, NULL::bigint, v_handler.state
    FROM unnest(p_lanes, p_tokens) AS h (lane, token);

    IF cardinality(v_held) < v_share THEN
        -- A token that a crash takes back would be given out twice.
        IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
            PERFORM set_config('synchronous_commit', 'on', true);
        END IF;
        RETURN QUERY
        UPDATE millrace.handler_lanes AS l
        SET token = l.token + 1, worker_id = p_worker_id, leased_until = v_until
        FROM (
            SELECT f.handler_id, f.lane
            FROM millrace.handler_lanes AS f
            WHERE f.handler_id = p_handler_id AND (f.worker_id IS NULL OR f.leased_until < v_now)
            ORDER BY f.lane
            LIMIT v_share - cardinality(v_held)
            FOR UPDATE SKIP LOCKED
        ) AS free
        WHERE l.handler_id = free.handler_id AND l.lane = free.lane
        RETURNING 'leased', l.lane, l.token, l.checkpoint, v_handler.state;
    END IF;
    -- So that a beat without any lane tells the state as well.
    RETURN QUERY SELECT 'handler', NULL::int, NULL::bigint, NULL::bigint, v_handler.state;
END
$$;

REVOKE ALL ON FUNCTION millrace.lease_lanes(text, uuid, text, int, int[], bigint[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.lease_lanes(text, uuid, text, int, int[], bigint[], bigint[]) TO millrace_consumer, millrace_admin;
