-- The statement that runs a registered function, as the caller; MR018 where he cannot, or should not. p_subject is the name of the handler, or
-- the type that the reducer or upcaster is for.
--
-- He should not where the function's owner could not act as him anyway: whoever may register a function could otherwise have the one who
-- runs all of them, Millrace's owner perhaps, do what he wants. An owner who is a member of the caller's role gains nothing by it.
CREATE OR REPLACE FUNCTION millrace.sql_function_call(p_kind text, p_subject text, p_function text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_found    regprocedure := millrace.find_sql_function(p_kind, p_function);
    v_function record;
BEGIN
    SELECT c.call, c.owner INTO STRICT v_function FROM millrace.check_sql_function(p_kind, v_found, p_function) AS c;
    IF NOT pg_has_role(v_function.owner, current_user, 'MEMBER') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR018',
            MESSAGE = format('the function %s of the %s %L belongs to %s, who may not act as %I', p_function,
                             CASE p_kind WHEN 'handler' THEN 'handler' ELSE p_kind || ' of' END, p_subject, v_function.owner::regrole,
                             current_user),
            HINT = format('%s as a role that %s is a member of, or give the function to somebody you trust: '
                          'ALTER FUNCTION %s OWNER TO …',
                          CASE p_kind WHEN 'handler' THEN 'Process its events' ELSE 'Ask' END, v_function.owner::regrole, v_found);
    END IF;
    RETURN v_function.call;
END
$$;

REVOKE ALL ON FUNCTION millrace.sql_function_call(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.sql_function_call(text, text, text) TO millrace_publisher, millrace_consumer, millrace_admin;
