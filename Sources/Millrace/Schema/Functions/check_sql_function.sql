-- The facts about a function that is to handle, reduce or lift events, or an error (MR018) that says why it cannot: the name to keep, the
-- call to run, and who could change what it does. Asked by the caller about himself, at the registration and before each run, because a
-- function can be replaced in between.
--
-- p_kind is handler, reducer or upcaster. None is SECURITY DEFINER, because it runs as whoever processes or asks. A handler is volatile,
-- because one without effects handles nothing; a reducer is not STRICT, because no state is a state.
CREATE OR REPLACE FUNCTION millrace.check_sql_function(
    p_kind text, p_function regprocedure, p_name text, OUT name text, OUT call text, OUT owner oid
)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_function  record;
    v_problem   text;
    v_arguments text := CASE p_kind
        WHEN 'reducer' THEN 'two arguments of the types jsonb and millrace.events' ELSE 'one argument of the type millrace.events'
    END;
BEGIN
    SELECT p.oid, p.proname, n.nspname, n.oid AS schema, p.prokind, p.proargtypes, p.proallargtypes, p.proretset, p.prorettype,
           p.prosecdef, p.provolatile, p.proisstrict, p.proowner
    INTO v_function
    FROM pg_proc AS p
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.oid = p_function;

    v_problem := CASE
        WHEN v_function.oid IS NULL THEN format('does not exist with %s, or may not be executed by %I', v_arguments, current_user)
        WHEN v_function.prokind <> 'f' THEN 'is no plain function'
        WHEN v_function.proallargtypes IS NOT NULL OR oidvectortypes(v_function.proargtypes)
            <> CASE p_kind WHEN 'reducer' THEN 'jsonb, millrace.events' ELSE 'millrace.events' END
            THEN format('does not take exactly %s', v_arguments)
        WHEN p_kind = 'handler' AND (v_function.proretset OR v_function.prorettype NOT IN ('void'::regtype, 'text'::regtype))
            THEN 'returns neither void nor text'
        WHEN p_kind = 'reducer' AND (v_function.proretset OR v_function.prorettype <> 'jsonb'::regtype) THEN 'does not return jsonb'
        WHEN p_kind = 'upcaster' AND NOT (v_function.proretset AND v_function.prorettype = 'millrace.events'::regtype)
            THEN 'does not return SETOF millrace.events'
        WHEN v_function.prosecdef THEN 'is SECURITY DEFINER'
        WHEN p_kind = 'handler' AND v_function.provolatile <> 'v' THEN 'is not VOLATILE'
        WHEN p_kind = 'reducer' AND v_function.proisstrict THEN 'is STRICT, and would not be called where there is no state yet'
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
            HINT = CASE p_kind
                WHEN 'handler' THEN 'A handler is CREATE FUNCTION … (event millrace.events) RETURNS void or text, VOLATILE and SECURITY '
                    'INVOKER, in a schema of yours, public for example, and with privileges that whoever processes events may use.'
                WHEN 'reducer' THEN 'A reducer is CREATE FUNCTION … (state jsonb, event millrace.events) RETURNS jsonb, SECURITY INVOKER, '
                    'in a schema of yours, public for example, and with privileges that whoever rebuilds may use.'
                ELSE 'An upcaster is CREATE FUNCTION … (event millrace.events) RETURNS SETOF millrace.events, SECURITY INVOKER, in a '
                    'schema of yours, public for example, and with privileges that whoever reads events may use.'
            END;
    END IF;

    name := format('%I.%I', v_function.nspname, v_function.proname);
    call := format(
        CASE
            WHEN p_kind = 'reducer' THEN 'SELECT %s($1, $2)'
            WHEN p_kind = 'upcaster' THEN 'SELECT ARRAY(SELECT u FROM %s($1) AS u LIMIT $2)'
            WHEN v_function.prorettype = 'void'::regtype THEN 'SELECT NULL::pg_catalog.text FROM %s($1)'
            ELSE 'SELECT %s($1)'
        END, name
    );
    owner := v_function.proowner;
END
$$;

REVOKE ALL ON FUNCTION millrace.check_sql_function(text, regprocedure, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.check_sql_function(text, regprocedure, text) TO millrace_publisher, millrace_consumer, millrace_admin;
