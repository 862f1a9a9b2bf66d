-- A page of aggregate_history that begins after a version with the state as it was then, which whoever reads page by page has: nothing is folded
-- twice. At most p_limit events.
--
-- Without a search_path of its own, because the user's functions run with the caller's; so whatever is looked up here says where.
CREATE OR REPLACE FUNCTION millrace.history_after(
    p_aggregate_type text, p_aggregate_id text, p_after_version int, p_state jsonb, p_to_version int, p_limit int, p_at timestamptz
) RETURNS TABLE (
    id bigint, event_id uuid, event_type text, aggregate_type text, aggregate_id text, version int, event_data jsonb, metadata jsonb,
    occurred_at timestamptz, created_at timestamptz, payload bytea, content_type text, state_before jsonb, state jsonb
)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    c_page    CONSTANT pg_catalog.int4 := 1000;
    v_reducer pg_catalog.record;
    v_event   millrace.events;
    v_after   pg_catalog.int4 := p_after_version;
    v_left    pg_catalog.int4 := p_limit;
    v_page    pg_catalog.int4;
    v_read    pg_catalog.int4;
BEGIN
    SELECT r.function, r.call, r.upcasters INTO STRICT v_reducer FROM millrace.find_reducer(p_aggregate_type) AS r;
    state := p_state;
    WHILE v_left OPERATOR(pg_catalog.>) 0 LOOP
        v_page := least(v_left, c_page);
        v_read := 0;
        FOR v_event IN
            SELECT e.*
            FROM millrace.read_stream(
                p_aggregate_type, p_aggregate_id, v_after OPERATOR(pg_catalog.+) 1, v_page, false, p_to_version
            ) AS e
        LOOP
            v_read := v_read OPERATOR(pg_catalog.+) 1;
            v_after := v_event.version;
            CONTINUE WHEN v_event.occurred_at OPERATOR(pg_catalog.>) p_at;
            id := v_event.id;
            event_id := v_event.event_id;
            event_type := v_event.event_type;
            aggregate_type := v_event.aggregate_type;
            aggregate_id := v_event.aggregate_id;
            version := v_event.version;
            event_data := v_event.event_data;
            metadata := v_event.metadata;
            occurred_at := v_event.occurred_at;
            created_at := v_event.created_at;
            payload := v_event.payload;
            content_type := v_event.content_type;
            state_before := state;
            state := millrace.fold_event(v_reducer.function, v_reducer.call, v_reducer.upcasters, state_before, v_event);
            RETURN NEXT;
            v_left := v_left OPERATOR(pg_catalog.-) 1;
        END LOOP;
        EXIT WHEN v_read OPERATOR(pg_catalog.<) v_page;
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION millrace.history_after(text, text, int, jsonb, int, int, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.history_after(text, text, int, jsonb, int, int, timestamptz)
    TO millrace_publisher, millrace_consumer, millrace_admin;
