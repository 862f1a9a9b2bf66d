-- Takes a lane that no live worker leases, for the length of the transaction, whose lock of its row is the lease: others pass it over, and see
-- it free again afterwards. Its token goes up, so that a worker whose lease has run out cannot commit. Answers the token, or NULL where
-- somebody has it.
CREATE OR REPLACE FUNCTION millrace.take_lane(p_handler_id text, p_lane int) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_token bigint;
BEGIN
    UPDATE millrace.handler_lanes AS l
    SET token = l.token + 1, worker_id = NULL, leased_until = NULL
    FROM (
        SELECT f.handler_id, f.lane
        FROM millrace.handler_lanes AS f
        WHERE f.handler_id = p_handler_id AND f.lane = p_lane AND (f.worker_id IS NULL OR f.leased_until < clock_timestamp())
        FOR UPDATE SKIP LOCKED
    ) AS free
    WHERE l.handler_id = free.handler_id AND l.lane = free.lane
    RETURNING l.token INTO v_token;
    RETURN v_token;
END
$$;

REVOKE ALL ON FUNCTION millrace.take_lane(text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.take_lane(text, int) TO millrace_consumer, millrace_admin;
