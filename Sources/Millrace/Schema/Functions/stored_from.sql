-- A time before which nothing behind a position was stored: the beginning of the first month that may have some of it. For bounds on
-- created_at that prune the months before.
CREATE OR REPLACE FUNCTION millrace.stored_from(p_after bigint) RETURNS timestamptz
LANGUAGE sql STABLE SECURITY INVOKER
AS $$
    SELECT coalesce(
        (SELECT min(m.lower_bound) FROM millrace.closed_months AS m WHERE m.last_position > p_after),
        (SELECT max(m.upper_bound) FROM millrace.closed_months AS m),
        '-infinity'
    )
$$;

REVOKE ALL ON FUNCTION millrace.stored_from(bigint) FROM PUBLIC;
