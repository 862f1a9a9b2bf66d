-- The last statement of a transaction in which a worker has handled events of a lane: moves the checkpoint, and with it the counters, the
-- audit and what was set aside. Refused (MR016) where the lane is no longer his under this token: then nothing of the transaction may stand.
--
-- From here to the commit the lane's row is locked, so a worker that is stopped in between must not keep it for long: its session is ended.
--
-- p_types names the types of the events that were settled. Of each there are four counts (processed, discarded, attempts, microseconds)
-- and 64 of the histogram, one behind the other. p_set_aside says what becomes of streams that wait, see set_aside.
CREATE OR REPLACE FUNCTION millrace.settle_lane(
    p_handler_id   text,
    p_lane         int,
    p_token        bigint,
    p_checkpoint   bigint,
    p_stored_at    timestamptz,
    p_worker       text,
    p_types        text[],
    p_counts       bigint[],
    p_latencies    bigint[],
    p_positions    bigint[],
    p_event_ids    uuid[],
    p_event_types  text[],
    p_attempts     int[],
    p_statuses     text[],
    p_errors       text[],
    p_microseconds bigint[],
    p_set_aside    jsonb
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    PERFORM set_config('idle_in_transaction_session_timeout', '2s', true);
    -- The worker goes on from what it remembers: a crash must not take back what it was told.
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    UPDATE millrace.handler_lanes AS l
    SET checkpoint = p_checkpoint,
        moved_at = CASE WHEN p_checkpoint > l.checkpoint THEN clock_timestamp() ELSE l.moved_at END,
        stored_at = CASE WHEN p_checkpoint > l.checkpoint THEN p_stored_at ELSE l.stored_at END,
        -- lease_lanes passes a row by that is locked as this one is from here on, beat by beat where that is mostly so.
        leased_until = greatest(l.leased_until, (
            SELECT w.seen_until FROM millrace.handler_workers AS w
            WHERE w.handler_id = l.handler_id AND w.worker_id = l.worker_id AND w.name = p_worker
        ))
    WHERE l.handler_id = p_handler_id AND l.lane = p_lane AND l.token = p_token AND l.checkpoint <= p_checkpoint;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR016',
            MESSAGE = format('lane %s of the handler %L is no longer leased under token %s', p_lane, p_handler_id, p_token),
            HINT = 'Roll back: another worker has the lane, or an operator has reset the handler.';
    END IF;

    IF cardinality(p_types) > 0 THEN
        INSERT INTO millrace.handler_counts AS c (
            handler_id, lane, event_type, processed, discarded, attempts, microseconds, latencies
        )
        SELECT p_handler_id, p_lane, t.name, p_counts[t.n * 4 - 3], p_counts[t.n * 4 - 2], p_counts[t.n * 4 - 1], p_counts[t.n * 4],
               p_latencies[t.n * 64 - 63 : t.n * 64]
        FROM unnest(p_types) WITH ORDINALITY AS t (name, n)
        ON CONFLICT ON CONSTRAINT handler_counts_pkey DO UPDATE
            SET processed = c.processed + excluded.processed,
                discarded = c.discarded + excluded.discarded,
                attempts = c.attempts + excluded.attempts,
                microseconds = c.microseconds + excluded.microseconds,
                latencies = millrace.add_counts(c.latencies, excluded.latencies);
    END IF;

    IF cardinality(p_positions) > 0 THEN
        INSERT INTO millrace.event_audit (
            handler_id, lane, position, event_id, event_type, attempt, status, error, worker, duration
        )
        SELECT p_handler_id, p_lane, a.position, a.event_id, a.event_type, a.attempt, a.status, a.error, p_worker,
               make_interval(secs => a.microseconds / 1000000.0)
        FROM unnest(p_positions, p_event_ids, p_event_types, p_attempts, p_statuses, p_errors, p_microseconds)
            AS a (position, event_id, event_type, attempt, status, error, microseconds);
    END IF;

    IF p_set_aside IS NOT NULL THEN
        PERFORM millrace.set_aside(p_handler_id, p_lane, p_set_aside);
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.settle_lane(
    text, int, bigint, bigint, timestamptz, text, text[], bigint[], bigint[], bigint[], uuid[], text[], int[], text[], text[],
    bigint[], jsonb
) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.settle_lane(
    text, int, bigint, bigint, timestamptz, text, text[], bigint[], bigint[], bigint[], uuid[], text[], int[], text[], text[],
    bigint[], jsonb
) TO millrace_consumer, millrace_admin;
