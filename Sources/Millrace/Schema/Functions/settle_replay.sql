-- The last statement of a transaction in which a worker has handled a part of a replay, as settle_lane is for what is new: moves the replay's
-- place in the lane. Refused where the lane is no longer his under this token (MR016), and where the replay was cancelled meanwhile (MR021): then
-- nothing of the transaction may stand.
CREATE OR REPLACE FUNCTION millrace.settle_replay(
    p_handler_id   text,
    p_lane         int,
    p_token        bigint,
    p_replay_id    bigint,
    p_checkpoint   bigint,
    p_worker       text,
    p_processed    bigint,
    p_failed       bigint,
    p_positions    bigint[],
    p_event_ids    uuid[],
    p_event_types  text[],
    p_attempts     int[],
    p_statuses     text[],
    p_errors       text[],
    p_microseconds bigint[]
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    PERFORM set_config('idle_in_transaction_session_timeout', '2s', true);
    PERFORM FROM millrace.handler_lanes AS l
    WHERE l.handler_id = p_handler_id AND l.lane = p_lane AND l.token = p_token
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR016',
            MESSAGE = format('lane %s of the handler %L is no longer leased under token %s', p_lane, p_handler_id, p_token),
            HINT = 'Roll back: another worker has the lane, or an operator has reset the handler.';
    END IF;

    -- Whoever cancels it waits for this transaction, or this one finds that he has.
    PERFORM FROM millrace.handler_replays AS r
    WHERE r.replay_id = p_replay_id AND r.handler_id = p_handler_id AND r.cancelled_at IS NULL
    FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR021',
            MESSAGE = format('replay %s of the handler %L was cancelled', p_replay_id, p_handler_id),
            HINT = 'Roll back: what was handled before stays.';
    END IF;
    UPDATE millrace.handler_replay_lanes AS l
    SET checkpoint = p_checkpoint, processed = l.processed + p_processed, failed = l.failed + p_failed
    WHERE l.replay_id = p_replay_id AND l.lane = p_lane AND l.checkpoint <= p_checkpoint;

    INSERT INTO millrace.event_audit (
        handler_id, lane, position, event_id, event_type, attempt, status, error, worker, duration
    )
    SELECT p_handler_id, p_lane, a.position, a.event_id, a.event_type, a.attempt, a.status, a.error, p_worker,
           make_interval(secs => a.microseconds / 1000000.0)
    FROM unnest(p_positions, p_event_ids, p_event_types, p_attempts, p_statuses, p_errors, p_microseconds)
        AS a (position, event_id, event_type, attempt, status, error, microseconds);
END
$$;

REVOKE ALL ON FUNCTION millrace.settle_replay(
    text, int, bigint, bigint, bigint, text, bigint, bigint, bigint[], uuid[], text[], int[], text[], text[], bigint[]
) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.settle_replay(
    text, int, bigint, bigint, bigint, text, bigint, bigint, bigint[], uuid[], text[], int[], text[], text[], bigint[]
) TO millrace_consumer, millrace_admin;
