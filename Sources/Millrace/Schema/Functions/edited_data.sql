-- What a handler gets in the place of a waiting event's data, see edit_parked. NULL: the event's own.
CREATE OR REPLACE FUNCTION millrace.edited_data(p_parked millrace.parked_events, p_event_data jsonb, p_merge boolean) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_data  jsonb := p_event_data;
    v_limit int;
BEGIN
    IF p_merge THEN
        v_data := coalesce(p_parked.edited_data, (
            SELECT e.event_data FROM millrace.read_stream(p_parked.aggregate_type, p_parked.aggregate_id, p_parked.version, 1) AS e
        ));
        IF jsonb_typeof(v_data) IS DISTINCT FROM 'object' THEN
            RAISE EXCEPTION USING
                ERRCODE = 'MR011',
                MESSAGE = format('p_merge is true, and the data of event %s at position %s is %s', p_parked.event_id, p_parked.position,
                                 coalesce('a JSON ' || jsonb_typeof(v_data), 'missing')),
                HINT = 'Give the whole data with p_merge false, or leave the event out.';
        END IF;
        v_data := v_data || p_event_data;
    END IF;

    SELECT s.max_event_bytes INTO STRICT v_limit FROM millrace.store AS s;
    IF pg_column_size(ARRAY[v_data]) > v_limit THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR002',
            MESSAGE = format('p_event_data has %s bytes; the limit is %s', pg_column_size(ARRAY[v_data]), v_limit),
            HINT = 'Store what is large elsewhere and its address in the data, or raise max_event_bytes in millrace.store.';
    END IF;
    RETURN v_data;
END
$$;

REVOKE ALL ON FUNCTION millrace.edited_data(millrace.parked_events, jsonb, boolean) FROM PUBLIC;
