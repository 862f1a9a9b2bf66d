-- How many rows a generation has in all of its tables, as the caller.
CREATE OR REPLACE FUNCTION millrace.count_rows(p_projection text, p_generation int) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_schema name := (millrace.find_generation(p_projection, p_generation)).schema_name;
    v_table  name;
    v_rows   bigint;
    v_sum    bigint := 0;
BEGIN
    FOR v_table IN
        SELECT c.relname
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = v_schema AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    LOOP
        EXECUTE format('SELECT count(*) FROM %I.%I', v_schema, v_table) INTO v_rows;
        v_sum := v_sum + v_rows;
    END LOOP;
    RETURN v_sum;
END
$$;

REVOKE ALL ON FUNCTION millrace.count_rows(text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.count_rows(text, int) TO millrace_consumer, millrace_admin;
