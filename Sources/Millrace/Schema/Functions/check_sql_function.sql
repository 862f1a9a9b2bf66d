-- The facts about a function that is to handle events, or an error (MR018) that says why it cannot: the name to keep, the call to run, and
-- who could change what it does. Asked by the caller about himself, at the registration and before each run, because a function can be
-- replaced in between.
--
-- Not SECURITY DEFINER, because a handler runs as whoever processes; and volatile, because one without effects handles nothing.
CREATE OR REPLACE FUNCTION millrace.check_sql_function(p_function regprocedure, p_name text, OUT name text, OUT call text, OUT owner oid)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_function record;
    v_problem  text;
BEGIN
    SELECT p.oid, p.proname, n.nspname, n.oid AS schema, p.prokind, p.pronargs, p.proargtypes, p.proallargtypes, p.proretset, p.prorettype,
           p.prosecdef, p.provolatile, p.proowner
    INTO v_function
    FROM pg_proc AS p
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.oid = p_function;

    v_problem := CASE
        WHEN v_function.oid IS NULL
            THEN format('does not exist with one argument of the type millrace.events, or may not be executed by %I', current_user)
        WHEN v_function.prokind <> 'f' THEN 'is no plain function'
        WHEN v_function.pronargs <> 1 OR v_function.proargtypes[0] <> 'millrace.events'::regtype OR v_function.proallargtypes IS NOT NULL
            THEN 'does not take exactly one argument of the type millrace.events'
        WHEN v_function.proretset OR v_function.prorettype NOT IN ('void'::regtype, 'text'::regtype)
            THEN 'returns neither void nor text'
        WHEN v_function.prosecdef THEN 'is SECURITY DEFINER'
        WHEN v_function.provolatile <> 'v' THEN 'is not VOLATILE'
        -- Where a user named millrace creates what he gives no schema; the next migration would drop it.
        WHEN v_function.nspname = 'millrace' THEN 'lies in the schema millrace, which is Millrace''s alone'
        WHEN pg_is_other_temp_schema(v_function.schema) OR v_function.schema = pg_my_temp_schema() THEN 'is temporary'
        WHEN NOT has_schema_privilege(v_function.schema, 'USAGE') OR NOT has_function_privilege(v_function.oid, 'EXECUTE')
            THEN format('may not be executed by %I', current_user)
    END;
    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR018',
            MESSAGE = format('the function %s %s', coalesce(v_function.oid::regprocedure::text, p_name, 'NULL'), v_problem),
            HINT = 'A handler is CREATE FUNCTION … (event millrace.events) RETURNS void or text, VOLATILE and SECURITY INVOKER, in a '
                   'schema of yours, public for example, and with privileges that whoever processes events may use.';
    END IF;

    name := format('%I.%I', v_function.nspname, v_function.proname);
    call := format(
        CASE v_function.prorettype
            WHEN 'void'::regtype THEN 'SELECT NULL::pg_catalog.text FROM %s($1)'
            ELSE 'SELECT %s($1)'
        END, name
    );
    owner := v_function.proowner;
END
$$;

REVOKE ALL ON FUNCTION millrace.check_sql_function(regprocedure, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.check_sql_function(regprocedure, text) TO millrace_publisher, millrace_consumer, millrace_admin;
