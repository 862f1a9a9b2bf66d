-- Up to where a lane of a generation that is being built may go: where the serving one is. NULL: anywhere, and so for every other handler.
CREATE OR REPLACE FUNCTION millrace.followed_position(p_handler_id text, p_lane int) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY INVOKER
AS $$
    SELECT max(l.checkpoint)
    FROM millrace.projection_generations AS g
    JOIN millrace.projections AS p ON p.projection = g.projection AND p.mode = 'behind'
    JOIN millrace.projection_generations AS s ON s.projection = p.projection AND s.generation = p.serving
    JOIN millrace.handler_lanes AS l ON l.handler_id = s.handler_id AND l.lane = p_lane
    WHERE g.handler_id = p_handler_id AND g.state = 'building'
$$;

REVOKE ALL ON FUNCTION millrace.followed_position(text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.followed_position(text, int) TO millrace_consumer, millrace_admin;
