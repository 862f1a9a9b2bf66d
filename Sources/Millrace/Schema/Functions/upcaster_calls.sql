-- All upcasters as upcast_event takes them, by type and version (* is every other version); NULL where there is none. What the caller may not
-- run is in it with the reason, because only an event that needs it is concerned.
CREATE OR REPLACE FUNCTION millrace.upcaster_calls() RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_upcaster millrace.event_upcasters;
    v_step     jsonb;
    v_calls    jsonb;
BEGIN
    FOR v_upcaster IN SELECT u.* FROM millrace.event_upcasters AS u ORDER BY u.event_type, u.schema_version LOOP
        v_step := jsonb_build_object('function', v_upcaster.function, 'into', to_jsonb(v_upcaster.into_types));
        BEGIN
            v_step := v_step || jsonb_build_object(
                'call', millrace.sql_function_call('upcaster', v_upcaster.event_type, v_upcaster.function)
            );
        EXCEPTION WHEN SQLSTATE 'MR018' THEN
            v_step := v_step || jsonb_build_object('refusal', SQLERRM);
        END;
        v_calls := coalesce(v_calls, '{}') || jsonb_build_object(
            v_upcaster.event_type,
            coalesce(v_calls -> v_upcaster.event_type, '{}')
                || jsonb_build_object(coalesce(v_upcaster.schema_version::text, '*'), v_step)
        );
    END LOOP;
    RETURN v_calls;
END
$$;

REVOKE ALL ON FUNCTION millrace.upcaster_calls() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.upcaster_calls() TO millrace_publisher, millrace_consumer, millrace_admin;
