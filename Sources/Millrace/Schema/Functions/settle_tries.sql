-- What settle_lane wants to know, out of what was tried in a lane: counters by type, the audit as the handler wants it, and the events of
-- waiting streams that were passed by, a stream for each. Removes what was handled ahead and is passed now.
CREATE OR REPLACE FUNCTION millrace.settle_tries(
    p_handler_id text, p_lane int, p_token bigint, p_checkpoint bigint, p_worker text, p_tries millrace.event_audit[],
    p_waiting_types text[], p_waiting_ids text[]
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    -- Where the buckets of the histogram begin; below the first is counted into it.
    c_buckets CONSTANT float8[] := ARRAY(SELECT 2.0::float8 ^ (n / 2.0) FROM generate_series(0, 63) AS n);
    v_handler   millrace.event_handlers := millrace.find_handler(p_handler_id);
    v_from      bigint;
    v_stored_at timestamptz;
    v_types     text[];
    v_counts    bigint[];
    v_latencies bigint[];
    v_audited   record;
    v_waiting   jsonb;
BEGIN
    SELECT l.checkpoint INTO v_from FROM millrace.handler_lanes AS l WHERE l.handler_id = p_handler_id AND l.lane = p_lane;
    SELECT e.created_at INTO v_stored_at
    FROM millrace.events AS e
    WHERE e.id = p_checkpoint AND e.created_at >= millrace.stored_from(p_checkpoint - 1);

    SELECT array_agg(t.event_type ORDER BY t.event_type) INTO v_types
    FROM (SELECT DISTINCT a.event_type FROM unnest(p_tries) AS a) AS t;
    SELECT array_agg(n.events ORDER BY c.event_type, n.place) INTO v_counts
    FROM (
        SELECT a.event_type,
               count(*) FILTER (WHERE a.status = 'success') AS processed,
               count(*) FILTER (WHERE a.status = 'discarded') AS discarded,
               count(*) FILTER (WHERE a.status <> 'discarded') AS attempts,
               coalesce(sum(extract(epoch FROM a.duration) * 1000000) FILTER (WHERE a.status = 'success'), 0)::bigint AS microseconds
        FROM unnest(p_tries) AS a
        GROUP BY a.event_type
    ) AS c
    CROSS JOIN LATERAL (VALUES (1, c.processed), (2, c.discarded), (3, c.attempts), (4, c.microseconds)) AS n (place, events);
    SELECT array_agg(coalesce(h.events, 0) ORDER BY t.event_type, n.bucket) INTO v_latencies
    FROM unnest(v_types) AS t (event_type)
    CROSS JOIN generate_series(1, 64) AS n (bucket)
    LEFT JOIN (
        SELECT a.event_type, greatest(1, width_bucket((extract(epoch FROM a.duration) * 1000000)::float8, c_buckets)) AS bucket,
               count(*) AS events
        FROM unnest(p_tries) AS a
        WHERE a.status = 'success'
        GROUP BY 1, 2
    ) AS h ON h.event_type = t.event_type AND h.bucket = n.bucket;

    SELECT array_agg(a.position ORDER BY a.n) AS positions, array_agg(a.event_id ORDER BY a.n) AS event_ids,
           array_agg(a.event_type ORDER BY a.n) AS event_types, array_agg(a.attempt ORDER BY a.n) AS attempts,
           array_agg(a.status ORDER BY a.n) AS statuses, array_agg(a.error ORDER BY a.n) AS errors,
           array_agg((extract(epoch FROM a.duration) * 1000000)::bigint ORDER BY a.n) AS microseconds
    INTO v_audited
    FROM (
        SELECT t.*, row_number() OVER () AS n FROM unnest(p_tries) AS t
    ) AS a
    WHERE v_handler.audit = 'all' OR v_handler.audit = 'failures' AND a.status <> 'success';

    SELECT jsonb_agg(jsonb_build_object(
        'change', 'wait', 'aggregate_type', w.aggregate_type, 'aggregate_id', w.aggregate_id, 'waiting', w.events
    )) INTO v_waiting
    FROM (
        SELECT u.aggregate_type, u.aggregate_id, count(*) AS events
        FROM unnest(p_waiting_types, p_waiting_ids) AS u (aggregate_type, aggregate_id)
        GROUP BY u.aggregate_type, u.aggregate_id
    ) AS w;

    PERFORM millrace.settle_lane(
        p_handler_id, p_lane, p_token, p_checkpoint, v_stored_at, p_worker, v_types, v_counts, v_latencies, v_audited.positions,
        v_audited.event_ids, v_audited.event_types, v_audited.attempts, v_audited.statuses, v_audited.errors, v_audited.microseconds,
        v_waiting
    );
    IF p_checkpoint > v_from THEN
        DELETE FROM millrace.handled_ahead AS a
        WHERE a.handler_id = p_handler_id AND a.lane = p_lane AND a.position <= p_checkpoint;
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.settle_tries(text, int, bigint, bigint, text, millrace.event_audit[], text[], text[]) FROM PUBLIC;
