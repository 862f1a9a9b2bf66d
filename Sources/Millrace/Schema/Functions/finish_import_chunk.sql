-- The last step of an import's chunk, after its events were COPYed: compares what the log has with what begin_import_chunk
-- announced, by number and by the sums of positions and versions, and moves the import p_name as record_import says.
--
-- The rows are found by the time they all were stored at, between the first and the last position: other writers' events
-- lie among them, but of another time. Where one does have the same microsecond, the chunk is refused and stored anew.
CREATE OR REPLACE FUNCTION millrace.finish_import_chunk(
    p_name        text,
    p_resume_from bigint,
    p_through     bigint,
    p_prefix_hash bytea,
    p_finished    boolean DEFAULT false
) RETURNS TABLE (stored bigint, last_position bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_announced millrace.announced_chunks;
    v_found     record;
BEGIN
    DELETE FROM millrace.announced_chunks AS c
    WHERE c.transaction = pg_current_xact_id()
    RETURNING c.* INTO v_announced;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR014',
            MESSAGE = 'the transaction has announced no chunk',
            HINT = 'Call begin_import_chunk, COPY the events into millrace.events, then finish, in one transaction.';
    END IF;

    SELECT count(*) AS events, sum(e.id) AS position_sum, sum(e.version) AS version_sum
    INTO v_found
    FROM millrace.events AS e
    WHERE e.id BETWEEN v_announced.first_position AND v_announced.last_position
      AND e.created_at = v_announced.stored_at;
    IF (v_found.events, v_found.position_sum, v_found.version_sum)
        IS DISTINCT FROM (v_announced.events, v_announced.position_sum, v_announced.version_sum) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR014',
            MESSAGE = format('the chunk announced %s events, but %s are there', v_announced.events, v_found.events)
                || CASE WHEN v_found.events = v_announced.events THEN ' with other positions or versions' ELSE '' END,
            HINT = 'COPY every announced event with its position, the version after its stream''s last, and stored_at.';
    END IF;

    PERFORM millrace.record_import(p_name, p_resume_from, p_through, p_prefix_hash, v_found.events, p_finished);
    stored := v_found.events;
    last_position := v_announced.last_position;
    RETURN NEXT;
END
$$;

REVOKE ALL ON FUNCTION millrace.finish_import_chunk(text, bigint, bigint, bytea, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.finish_import_chunk(text, bigint, bigint, bytea, boolean) TO millrace_importer;
