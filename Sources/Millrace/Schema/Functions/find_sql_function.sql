-- The function of a name, with or without its arguments, that has those of a kind; looked up as the caller would. NULL where there is none:
-- check_sql_function says so.
CREATE OR REPLACE FUNCTION millrace.find_sql_function(p_kind text, p_function text) RETURNS regprocedure
-- Without a search_path of its own, because p_function is looked up in the caller's.
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
    RETURN pg_catalog.to_regprocedure(
        CASE
            WHEN pg_catalog.strpos(p_function, '(') OPERATOR(pg_catalog.>) 0 THEN p_function
            WHEN pg_catalog.texteq(p_kind, 'reducer') THEN pg_catalog.concat(p_function, '(pg_catalog.jsonb,millrace.events)')
            ELSE pg_catalog.concat(p_function, '(millrace.events)')
        END
    );
EXCEPTION WHEN OTHERS THEN
    -- No name, or in a schema that the caller may not use.
    RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION millrace.find_sql_function(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.find_sql_function(text, text) TO millrace_publisher, millrace_consumer, millrace_admin;
