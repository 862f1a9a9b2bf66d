-- The event at the head of a waiting stream as its handler gets it, with what an operator has put in the place of its data.
CREATE OR REPLACE FUNCTION millrace.head_event(
    p_head millrace.parked_events, OUT attempt int, OUT discards boolean, OUT event millrace.events
)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
    SELECT e.* INTO STRICT event
    FROM millrace.events AS e
    WHERE e.id = p_head.position AND e.created_at >= millrace.stored_from(p_head.position - 1);
    event.event_data := coalesce(p_head.edited_data, event.event_data);
    discards := p_head.status = 'discarding';
    attempt := p_head.attempts + CASE WHEN discards THEN 0 ELSE 1 END;
END
$$;

REVOKE ALL ON FUNCTION millrace.head_event(millrace.parked_events) FROM PUBLIC;
