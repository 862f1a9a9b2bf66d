-- The streams that wait, as a filter means them, by handler and in the order of their heads. NULL is no condition. p_error is a pattern of
-- LIKE, upper and lower case alike. p_statuses are those that are meant where p_status names none. What is wrong with the filter is said
-- here, for everyone who takes one.
CREATE OR REPLACE FUNCTION millrace.find_parked(
    p_handler_id     text,
    p_aggregate_type text,
    p_aggregate_id   text,
    p_event_id       uuid,
    p_event_type     text,
    p_error          text,
    p_status         text,
    p_statuses       text[],
    p_limit          int
) RETURNS SETOF millrace.parked_events
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    c_most CONSTANT int := 100000;
BEGIN
    IF p_handler_id IS NOT NULL THEN
        PERFORM millrace.find_handler(p_handler_id);
    END IF;
    IF p_status <> ALL (p_statuses) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('p_status is %L', p_status),
            HINT = format('Give %s, or NULL for all of them.', array_to_string(p_statuses, ', '));
    END IF;
    IF (p_limit BETWEEN 1 AND c_most) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('p_limit is %s', coalesce(p_limit::text, 'missing')),
            HINT = format('Give a number from 1 to %s; call again for what is left.', c_most);
    END IF;

    RETURN QUERY
    SELECT p.*
    FROM millrace.parked_events AS p
    WHERE (p_handler_id IS NULL OR p.handler_id = p_handler_id)
      AND (p_aggregate_type IS NULL OR p.aggregate_type = p_aggregate_type)
      AND (p_aggregate_id IS NULL OR p.aggregate_id = p_aggregate_id)
      AND (p_event_id IS NULL OR p.event_id = p_event_id)
      AND (p_event_type IS NULL OR p.event_type = p_event_type)
      AND (p_error IS NULL OR p.error ILIKE p_error)
      AND p.status = ANY (CASE WHEN p_status IS NULL THEN p_statuses ELSE ARRAY[p_status] END)
    ORDER BY p.handler_id, p.position
    LIMIT p_limit;
END
$$;

REVOKE ALL ON FUNCTION millrace.find_parked(text, text, text, uuid, text, text, text, text[], int) FROM PUBLIC;
