-- differing_rows by column, as the caller: the rows are numbered, and each comes once for every column in which both have it otherwise; once,
-- without a column, where only one of them has it. At most p_limit rows, however many columns.
CREATE OR REPLACE FUNCTION millrace.differing_columns(p_projection text, p_generation int, p_limit int DEFAULT 100)
RETURNS TABLE (
    row_number bigint, table_name text, key jsonb, served jsonb, recomputed jsonb, column_name text, served_value jsonb, recomputed_value jsonb
)
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT d.number, d.table_name, d.key, d.served, d.recomputed, c.name, d.served -> c.name, d.recomputed -> c.name
    FROM millrace.differing_rows(p_projection, p_generation, p_limit)
        WITH ORDINALITY AS d (table_name, key, served, recomputed, number)
    LEFT JOIN LATERAL (
        SELECT k.name
        FROM (SELECT jsonb_object_keys(d.served) UNION SELECT jsonb_object_keys(d.recomputed)) AS k (name)
        WHERE d.served IS NOT NULL AND d.recomputed IS NOT NULL AND d.served -> k.name IS DISTINCT FROM d.recomputed -> k.name
    ) AS c ON true
    ORDER BY d.number, c.name
$$;

REVOKE ALL ON FUNCTION millrace.differing_columns(text, int, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.differing_columns(text, int, int) TO millrace_consumer, millrace_admin;
