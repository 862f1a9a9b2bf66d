-- The event that a line of an import says. One row; a field the line leaves out, or gives as JSON null, is NULL, except for
-- event_data, where null is a value. What is wrong with a line is import_line_problem's to say; a wrong one may raise here.
--
-- In SQL and without settings of its own, so that the planner inlines it: an import runs it for every line.
CREATE OR REPLACE FUNCTION millrace.import_fields(p_line jsonb)
RETURNS TABLE (event_type text, aggregate_type text, aggregate_id text, event_data jsonb, metadata jsonb, event_id uuid,
               occurred_at timestamptz, payload bytea, content_type text)
LANGUAGE sql STABLE SECURITY INVOKER
AS $$
    SELECT p_line ->> 'event_type', p_line ->> 'aggregate_type', p_line ->> 'aggregate_id', p_line -> 'event_data',
           nullif(p_line -> 'metadata', 'null'), (p_line ->> 'event_id')::uuid, (p_line ->> 'occurred_at')::timestamptz,
           pg_catalog.decode(p_line ->> 'payload', 'base64'), p_line ->> 'content_type'
$$;

REVOKE ALL ON FUNCTION millrace.import_fields(jsonb) FROM PUBLIC;
