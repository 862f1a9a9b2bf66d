-- The state of an aggregate event by event, as the caller: what p_reducer (find_reducer) makes of the events up to a version and a time, NULL
-- where there are none.
--
-- Without a search_path of its own, because the user's functions run with the caller's; so whatever is looked up here says where.
CREATE OR REPLACE FUNCTION millrace.fold_stream(
    p_function text, p_call text, p_upcasters jsonb, p_initial jsonb,
    p_aggregate_type text, p_aggregate_id text, p_to_version int, p_at timestamptz, OUT events int, OUT state jsonb
)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    -- Read at a time, so that memory does not hold a long stream.
    c_page  CONSTANT pg_catalog.int4 := 1000;
    v_event millrace.events;
    v_after pg_catalog.int4 := 0;
    v_read  pg_catalog.int4 := c_page;
BEGIN
    events := 0;
    state := p_initial;
    WHILE v_read OPERATOR(pg_catalog.=) c_page LOOP
        v_read := 0;
        FOR v_event IN
            SELECT e.*
            FROM millrace.read_stream(
                p_aggregate_type, p_aggregate_id, v_after OPERATOR(pg_catalog.+) 1, c_page, false, p_to_version
            ) AS e
        LOOP
            v_read := v_read OPERATOR(pg_catalog.+) 1;
            v_after := v_event.version;
            CONTINUE WHEN v_event.occurred_at OPERATOR(pg_catalog.>) p_at;
            events := events OPERATOR(pg_catalog.+) 1;
            state := millrace.fold_event(p_function, p_call, p_upcasters, state, v_event);
        END LOOP;
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION millrace.fold_stream(text, text, jsonb, jsonb, text, text, int, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.fold_stream(text, text, jsonb, jsonb, text, text, int, timestamptz)
    TO millrace_publisher, millrace_consumer, millrace_admin;
