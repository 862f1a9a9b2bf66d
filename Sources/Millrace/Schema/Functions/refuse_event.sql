-- Says what is wrong with an event of which something is known to be wrong. p_index counts from 1 within a batch, NULL
-- outside of one.
CREATE OR REPLACE FUNCTION millrace.refuse_event(
    p_event_type text, p_aggregate_type text, p_aggregate_id text, p_event_data jsonb, p_metadata jsonb,
    p_occurred_at timestamptz, p_payload bytea, p_content_type text, p_max_event_bytes int, p_index bigint
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_of_event text := coalesce(' of event ' || p_index, '');
    v_bytes    bigint;
BEGIN
    IF (char_length(p_event_type) BETWEEN 1 AND 255) IS NOT TRUE THEN
        PERFORM millrace.refuse_name('event_type', p_event_type, p_index);
    ELSIF (char_length(p_aggregate_type) BETWEEN 1 AND 255) IS NOT TRUE THEN
        PERFORM millrace.refuse_name('aggregate_type', p_aggregate_type, p_index);
    ELSIF (char_length(p_aggregate_id) BETWEEN 1 AND 255) IS NOT TRUE THEN
        PERFORM millrace.refuse_name('aggregate_id', p_aggregate_id, p_index);
    ELSIF char_length(p_content_type) NOT BETWEEN 1 AND 255 THEN
        PERFORM millrace.refuse_name('content_type', p_content_type, p_index);
    ELSIF p_event_data IS NULL AND p_payload IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('event_data%s is missing', v_of_event),
            HINT = 'Give JSON (null is JSON too), or a payload.';
    ELSIF coalesce(jsonb_typeof(p_metadata), 'object') <> 'object' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('metadata%s is a JSON %s', v_of_event, jsonb_typeof(p_metadata)),
            HINT = 'Give a JSON object, or NULL.';
    ELSIF NOT coalesce(p_occurred_at BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00', true) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('occurred_at%s is not a time of the years 1 to 9999', v_of_event),
            HINT = 'Give a time that RFC 3339 can write, or NULL for the time it is stored.';
    END IF;

    v_bytes := coalesce(pg_column_size(ARRAY[p_event_data]), 0) + coalesce(pg_column_size(ARRAY[p_metadata]), 0)
        + coalesce(octet_length(p_payload), 0);
    IF v_bytes > p_max_event_bytes THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR002',
            MESSAGE = format('event_data%s, with metadata and payload, has %s bytes; the limit is %s',
                             v_of_event, v_bytes, p_max_event_bytes),
            HINT = 'Store what is large elsewhere and its address in the event, or raise max_event_bytes in millrace.store.';
    END IF;

    RAISE EXCEPTION USING
        ERRCODE = 'MR011',
        MESSAGE = format('the request number%s is missing', v_of_event),
        HINT = 'Give every event the number of the request it belongs to.';
END
$$;

REVOKE ALL ON FUNCTION millrace.refuse_event(
    text, text, text, jsonb, jsonb, timestamptz, bytea, text, int, bigint
) FROM PUBLIC;
