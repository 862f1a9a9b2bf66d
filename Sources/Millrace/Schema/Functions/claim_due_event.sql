-- The head of a lane's waiting stream that has been due longest by p_until, locked against operators until the transaction ends; attempt is
-- NULL where there is none. discarded: why it is to be passed over. The caller holds the lane.
CREATE OR REPLACE FUNCTION millrace.claim_due_event(
    p_handler_id text, p_lane int, p_until timestamptz, OUT attempt int, OUT discarded text, OUT event millrace.events
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_head  millrace.parked_events;
    v_claim record;
BEGIN
    SELECT p.* INTO v_head
    FROM millrace.parked_events AS p
    WHERE p.handler_id = p_handler_id AND p.lane = p_lane AND p.next_attempt_at <= p_until
    ORDER BY p.next_attempt_at, p.position
    LIMIT 1
    FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        SELECT h.attempt, h.discarded, h.event INTO STRICT v_claim FROM millrace.head_event(v_head) AS h;
        attempt := v_claim.attempt;
        discarded := v_claim.discarded;
        event := v_claim.event;
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.claim_due_event(text, int, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.claim_due_event(text, int, timestamptz) TO millrace_consumer, millrace_admin;
