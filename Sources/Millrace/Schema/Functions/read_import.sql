-- How far the import of this name has come; no row where there is none.
CREATE OR REPLACE FUNCTION millrace.read_import(p_name text)
RETURNS TABLE (lines bigint, prefix_hash bytea, events_stored bigint, started_at timestamptz, updated_at timestamptz,
               finished_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT i.lines, i.prefix_hash, i.events_stored, i.started_at, i.updated_at, i.finished_at
    FROM millrace.imports AS i
    WHERE i.name = p_name;
END
$$;

REVOKE ALL ON FUNCTION millrace.read_import(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.read_import(text) TO millrace_importer, millrace_admin;
