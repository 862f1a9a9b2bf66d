-- The streams that wait, one row each: its head, the event that failed, with its error, and how many wait behind it. See find_parked for
-- the filter.
CREATE OR REPLACE FUNCTION millrace.list_parked(
    p_handler_id     text DEFAULT NULL,
    p_aggregate_type text DEFAULT NULL,
    p_aggregate_id   text DEFAULT NULL,
    p_event_id       uuid DEFAULT NULL,
    p_event_type     text DEFAULT NULL,
    p_error          text DEFAULT NULL,
    p_status         text DEFAULT NULL,
    p_limit          int  DEFAULT 100
) RETURNS SETOF millrace.parked_events
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT p.*
    FROM millrace.find_parked(
        p_handler_id, p_aggregate_type, p_aggregate_id, p_event_id, p_event_type, p_error, p_status,
        ARRAY['retrying', 'discarding', 'parked'], p_limit
    ) AS p;
END
$$;

REVOKE ALL ON FUNCTION millrace.list_parked(text, text, text, uuid, text, text, text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.list_parked(text, text, text, uuid, text, text, text, int) TO millrace_consumer, millrace_admin;
