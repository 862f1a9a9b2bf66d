-- The event at the head of a waiting stream as its handler gets it, with what an operator has put in the place of its data. discarded is why
-- it is to be passed over, NULL where it is not.
CREATE OR REPLACE FUNCTION millrace.head_event(
    p_head millrace.parked_events, OUT attempt int, OUT discarded text, OUT event millrace.events
)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
    SELECT e.* INTO STRICT event
    FROM millrace.events AS e
    WHERE e.id = p_head.position AND e.created_at >= millrace.stored_from(p_head.position - 1);
    event.event_data := coalesce(p_head.edited_data, event.event_data);
    discarded := CASE WHEN p_head.status = 'discarding' THEN coalesce(p_head.discard_reason, 'without a reason') END;
    attempt := p_head.attempts + CASE WHEN discarded IS NULL THEN 1 ELSE 0 END;
END
$$;

REVOKE ALL ON FUNCTION millrace.head_event(millrace.parked_events) FROM PUBLIC;
