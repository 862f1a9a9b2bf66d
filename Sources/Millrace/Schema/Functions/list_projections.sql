-- Every generation of every projection, the serving ones first: how far it is, out of what it has to do, and who does it.
--
-- processed and pending count its events as list_handlers does; of a generation that is written inline both are NULL.
CREATE OR REPLACE FUNCTION millrace.list_projections(p_projection text DEFAULT NULL)
RETURNS TABLE (
    projection text, mode text, published_in name, generation int, version int, state text, purpose text, sample int, handler_id text,
    schema_name name, functions text[], swaps_by_itself boolean, requested_by text, requested_at timestamptz, served_at timestamptz,
    replaced_at timestamptz, handler_state text, handler_reason text, workers int, processed bigint, pending bigint, is_exact boolean,
    waiting_streams bigint, bytes bigint
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    IF p_projection IS NOT NULL AND NOT EXISTS (SELECT FROM millrace.projections AS p WHERE p.projection = p_projection) THEN
        PERFORM millrace.find_generation(p_projection, NULL);
    END IF;
    RETURN QUERY
    SELECT p.projection, p.mode, p.published_in, g.generation, g.version, g.state, g.purpose, g.sample, g.handler_id, g.schema_name,
           g.functions, g.swaps_by_itself, g.requested_by, g.requested_at, g.served_at, g.replaced_at, h.state, h.state_reason, h.workers,
           CASE WHEN n.is_inline THEN NULL ELSE h.processed END, CASE WHEN n.is_inline THEN NULL ELSE h.pending END, h.is_exact,
           h.retrying + h.discarding + h.parked,
           (
               SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
               FROM pg_class AS c
               WHERE c.relnamespace = to_regnamespace(quote_ident(g.schema_name)) AND c.relkind IN ('r', 'm')
           )
    FROM millrace.projections AS p
    JOIN millrace.projection_generations AS g ON g.projection = p.projection
    JOIN millrace.list_handlers() AS h ON h.handler_id = g.handler_id
    CROSS JOIN LATERAL (SELECT p.mode = 'inline' AND g.state = 'serving' AS is_inline) AS n
    WHERE p_projection IS NULL OR p.projection = p_projection
    ORDER BY p.projection, g.state = 'serving' DESC, g.state = 'building' DESC, g.generation DESC;
END
$$;

REVOKE ALL ON FUNCTION millrace.list_projections(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.list_projections(text) TO millrace_consumer, millrace_admin;
