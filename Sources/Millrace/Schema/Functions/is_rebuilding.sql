-- For the functions of a projection: whether this event is only written into tables now, and has had its other effects, or will have them
-- elsewhere. Ask it before anything is sent or noted outside of the projection's tables.
CREATE OR REPLACE FUNCTION millrace.is_rebuilding(event millrace.events) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_generation record;
BEGIN
    SELECT g.state, g.silent_to[millrace.lane_of(event.aggregate_type, event.aggregate_id, h.lanes) + 1] AS silent_to
    INTO v_generation
    FROM millrace.projection_generations AS g JOIN millrace.event_handlers AS h ON h.handler_id = g.handler_id
    WHERE g.handler_id = current_setting('millrace.projecting', true);
    RETURN FOUND AND (v_generation.state <> 'serving' OR event.id <= v_generation.silent_to);
END
$$;

REVOKE ALL ON FUNCTION millrace.is_rebuilding(millrace.events) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.is_rebuilding(millrace.events) TO millrace_publisher, millrace_consumer, millrace_admin;
