-- What the state of a type of aggregate is made with: its reducer, and the statement that runs it as the caller (MR018 where he may not), both
-- NULL where objects are merged; the state before the first event; the upcasters.
CREATE OR REPLACE FUNCTION millrace.find_reducer(
    p_aggregate_type text, OUT function text, OUT call text, OUT initial jsonb, OUT upcasters jsonb
)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT r.function, r.initial INTO find_reducer.function, find_reducer.initial
    FROM millrace.aggregate_reducers AS r
    WHERE r.aggregate_type = p_aggregate_type;
    IF find_reducer.function IS NOT NULL THEN
        call := millrace.sql_function_call('reducer', p_aggregate_type, find_reducer.function);
    END IF;
    upcasters := millrace.upcaster_calls();
END
$$;

REVOKE ALL ON FUNCTION millrace.find_reducer(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.find_reducer(text) TO millrace_publisher, millrace_consumer, millrace_admin;
