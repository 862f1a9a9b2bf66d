-- Events by their positions, in their order, without regard to the horizon: for the transaction that has appended them.
CREATE OR REPLACE FUNCTION millrace.read_events(p_positions bigint[]) RETURNS SETOF millrace.events
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    v_since timestamptz := millrace.stored_from((SELECT min(p.id) - 1 FROM unnest(p_positions) AS p (id)));
BEGIN
    RETURN QUERY
    SELECT e.*
    FROM millrace.events AS e
    WHERE e.id = ANY (p_positions) AND e.created_at >= v_since
    ORDER BY e.id;
END
$$;

REVOKE ALL ON FUNCTION millrace.read_events(bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.read_events(bigint[]) TO millrace_publisher, millrace_consumer, millrace_admin;
