-- The rows in which a generation differs from the one that serves, as the caller, at most p_limit: by primary key, as one has the row and as the other
-- has it, NULL where it has none. Tables without a primary key are compared as bags of rows. Of a sample, what only the serving one
-- has is not looked for.
--
-- Both must be at the same place: see hold_equal. They stay it for a transaction whose snapshot (repeatable read) was taken while they were held.
CREATE OR REPLACE FUNCTION millrace.differing_rows(p_projection text, p_generation int, p_limit int DEFAULT 100)
RETURNS TABLE (table_name text, key jsonb, served jsonb, recomputed jsonb)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_recomputed millrace.projection_generations := millrace.find_generation(p_projection, p_generation);
    v_served     millrace.projection_generations := millrace.find_generation(p_projection, NULL);
    v_left       int := p_limit;
    v_table      record;
    v_found      int;
BEGIN
    FOR v_table IN
        SELECT c.relname AS name,
               (
                   SELECT array_agg(a.attname::text ORDER BY k.number)
                   FROM pg_index AS i
                   CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, number)
                   JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                   WHERE i.indrelid = c.oid AND i.indisprimary
               ) AS keys,
               (
                   SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.number)
                   FROM pg_index AS i
                   CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, number)
                   JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                   WHERE i.indrelid = c.oid AND i.indisprimary
               ) AS quoted
        FROM pg_class AS c
        WHERE c.relnamespace = to_regnamespace(quote_ident(v_recomputed.schema_name)) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        ORDER BY c.relname
    LOOP
        EXIT WHEN v_left <= 0;
        table_name := v_table.name;
        IF v_table.keys IS NOT NULL THEN
            RETURN QUERY EXECUTE format(
                'SELECT %L::text, (SELECT jsonb_object_agg(k.name, coalesce(to_jsonb(millrace_r) -> k.name, to_jsonb(millrace_s) -> k.name)) '
                'FROM unnest(%L::text[]) AS k (name)), to_jsonb(millrace_s), to_jsonb(millrace_r) '
                'FROM %I.%I AS millrace_r %s JOIN %I.%I AS millrace_s USING (%s) '
                'WHERE to_jsonb(millrace_r) IS DISTINCT FROM to_jsonb(millrace_s) ORDER BY %s LIMIT %s',
                v_table.name, v_table.keys, v_recomputed.schema_name, v_table.name,
                CASE WHEN v_recomputed.sample < 1000 THEN 'LEFT' ELSE 'FULL' END, v_served.schema_name, v_table.name,
                v_table.quoted, v_table.quoted, v_left
            );
        ELSIF v_recomputed.sample = 1000 THEN
            RETURN QUERY EXECUTE format(
                'SELECT %L::text, NULL::jsonb, CASE WHEN sum(n.sign) > 0 THEN n.row END, CASE WHEN sum(n.sign) < 0 THEN n.row END '
                'FROM (SELECT to_jsonb(millrace_s) AS row, 1 AS sign FROM %I.%I AS millrace_s UNION ALL SELECT to_jsonb(millrace_r), -1 FROM %I.%I AS millrace_r) AS n '
                'GROUP BY n.row HAVING sum(n.sign) <> 0 LIMIT %s',
                v_table.name, v_served.schema_name, v_table.name, v_recomputed.schema_name, v_table.name, v_left
            );
        END IF;
        GET DIAGNOSTICS v_found = ROW_COUNT;
        v_left := v_left - v_found;
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION millrace.differing_rows(text, int, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.differing_rows(text, int, int) TO millrace_consumer, millrace_admin;
