-- The statement that runs a handler's function on $1, as the caller; MR018 where he cannot, or should not.
--
-- He should not where the function's owner could not act as him anyway: whoever may register a handler could otherwise have the one who
-- runs all of them, Millrace's owner perhaps, do what he wants. An owner who is a member of the caller's role gains nothing by it.
CREATE OR REPLACE FUNCTION millrace.sql_handler_call(p_handler_id text, p_function text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_found    regprocedure;
    v_function record;
BEGIN
    BEGIN
        v_found := to_regprocedure(p_function || '(millrace.events)');
    EXCEPTION WHEN OTHERS THEN
        -- No name, or in a schema that the caller may not use: check_sql_function says so.
        v_found := NULL;
    END;
    SELECT c.call, c.owner INTO STRICT v_function FROM millrace.check_sql_function(v_found, p_function) AS c;
    IF NOT pg_has_role(v_function.owner, current_user, 'MEMBER') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR018',
            MESSAGE = format('the function %s of the handler %L belongs to %s, who may not act as %I', p_function, p_handler_id,
                             v_function.owner::regrole, current_user),
            HINT = format('Process its events as a role that %s is a member of, or give the function to somebody you trust: '
                          'ALTER FUNCTION %s(millrace.events) OWNER TO …', v_function.owner::regrole, p_function);
    END IF;
    RETURN v_function.call;
END
$$;

REVOKE ALL ON FUNCTION millrace.sql_handler_call(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.sql_handler_call(text, text) TO millrace_publisher, millrace_consumer, millrace_admin;
