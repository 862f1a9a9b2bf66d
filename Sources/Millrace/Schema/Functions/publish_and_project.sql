-- publish_event, and in the same transaction the inline projections that functions write, as the caller: who reads them after it, in the same
-- transaction too, finds the event in them. With no such projection it is publish_event.
CREATE OR REPLACE FUNCTION millrace.publish_and_project(
    p_event_type       text,
    p_aggregate_id     text,
    p_aggregate_type   text,
    p_event_data       jsonb,
    p_metadata         jsonb       DEFAULT NULL,
    p_event_id         uuid        DEFAULT NULL,
    p_expected_version int         DEFAULT NULL,
    p_occurred_at      timestamptz DEFAULT NULL
) RETURNS uuid
-- Without a search_path of its own: the functions run with the caller's.
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_inline     pg_catalog.record;
    v_projected  millrace.events;
    v_functions  pg_catalog.text[] := '{}';
    v_handlers   pg_catalog.text[] := '{}';
    v_event_id   pg_catalog.uuid;
    v_before     pg_catalog.int4;
    v_declared   pg_catalog.text := coalesce(pg_catalog.current_setting('millrace.inline', true), '');
BEGIN
    FOR v_inline IN
        SELECT b.handler_id, b.function
        FROM millrace.begin_inline() AS b
        WHERE b.function IS NOT NULL
          AND (b.event_types IS NULL OR p_event_type OPERATOR(pg_catalog.=) ANY (b.event_types))
          AND (b.aggregate_types IS NULL OR p_aggregate_type OPERATOR(pg_catalog.=) ANY (b.aggregate_types))
    LOOP
        v_functions := v_functions OPERATOR(pg_catalog.||) v_inline.function;
        v_handlers := v_handlers OPERATOR(pg_catalog.||) v_inline.handler_id;
    END LOOP;
    -- Where the id is given it may be there already, and is projected then.
    IF p_event_id IS NOT NULL AND pg_catalog.cardinality(v_functions) OPERATOR(pg_catalog.>) 0 THEN
        PERFORM millrace.lock_streams(ARRAY[p_aggregate_type], ARRAY[p_aggregate_id]);
        SELECT e.version INTO v_before FROM millrace.read_stream(p_aggregate_type, p_aggregate_id, NULL, 1, true) AS e;
    END IF;
    v_event_id := millrace.publish_event(
        p_event_type, p_aggregate_id, p_aggregate_type, p_event_data, p_metadata, p_event_id, p_expected_version, p_occurred_at
    );
    -- What the transaction appends besides is not projected by this.
    PERFORM pg_catalog.set_config('millrace.inline', v_declared, true);
    IF pg_catalog.cardinality(v_functions) OPERATOR(pg_catalog.=) 0 THEN
        RETURN v_event_id;
    END IF;
    -- The stream's row is locked since it was published: its last event is this one, or nothing was stored.
    SELECT e.* INTO STRICT v_projected FROM millrace.read_stream(p_aggregate_type, p_aggregate_id, NULL, 1, true) AS e;
    IF v_projected.event_id OPERATOR(pg_catalog.<>) v_event_id OR v_projected.version OPERATOR(pg_catalog.=) v_before THEN
        RETURN v_event_id;
    END IF;
    FOR v_number IN 1 .. pg_catalog.cardinality(v_functions) LOOP
        PERFORM millrace.project_inline(v_handlers[v_number], v_functions[v_number], ARRAY[v_projected.id]);
    END LOOP;
    RETURN v_event_id;
END
$$;

REVOKE ALL ON FUNCTION millrace.publish_and_project(text, text, text, jsonb, jsonb, uuid, int, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.publish_and_project(text, text, text, jsonb, jsonb, uuid, int, timestamptz)
    TO millrace_publisher, millrace_admin;
