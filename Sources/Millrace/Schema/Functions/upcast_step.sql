-- What one upcaster makes of an event, as the caller. MR018 where he may not run it; MR025, with the stored event that it is about, where the
-- function fails, or returns what it was not registered for.
--
-- Without a search_path of its own, because the function runs with the caller's; so whatever is looked up here says where.
CREATE OR REPLACE FUNCTION millrace.upcast_step(p_step jsonb, p_version text, p_event millrace.events) RETURNS millrace.events[]
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    c_most_results CONSTANT pg_catalog.int4 := 1000;
    v_user    pg_catalog.name := current_user;
    v_event   millrace.events;
    v_lifted  millrace.events;
    v_results millrace.events[];
    v_problem pg_catalog.text;
    v_state   pg_catalog.text;
BEGIN
    IF (p_step OPERATOR(pg_catalog.->>) 'call') IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR018',
            MESSAGE = p_step OPERATOR(pg_catalog.->>) 'refusal',
            HINT = 'Register another function with register_upcaster, or ask as a role that its owner is a member of.';
    END IF;
    BEGIN
        EXECUTE p_step OPERATOR(pg_catalog.->>) 'call' INTO v_results USING p_event, c_most_results OPERATOR(pg_catalog.+) 1;
        IF NOT pg_catalog.nameeq(current_user, v_user) THEN
            RAISE EXCEPTION 'the function left the session to %', pg_catalog.quote_ident(current_user);
        END IF;
    EXCEPTION
        WHEN transaction_rollback THEN
            RAISE;
        WHEN OTHERS OR assert_failure THEN
            v_problem := SQLERRM;
            v_state := SQLSTATE;
    END;
    IF v_problem IS NULL AND pg_catalog.cardinality(v_results) OPERATOR(pg_catalog.>) c_most_results THEN
        v_problem := pg_catalog.format('the function returned more than %s events', c_most_results);
    END IF;

    FOR v_index IN 1 .. coalesce(pg_catalog.cardinality(v_results), 0) LOOP
        EXIT WHEN v_problem IS NOT NULL;
        v_event := p_event;
        v_lifted := v_results[v_index];
        v_event.event_type := v_lifted.event_type;
        v_event.event_data := v_lifted.event_data;
        v_event.metadata := v_lifted.metadata;
        v_event.payload := v_lifted.payload;
        v_event.content_type := v_lifted.content_type;
        IF v_event.event_type IS NULL OR NOT (p_step OPERATOR(pg_catalog.->) 'into') OPERATOR(pg_catalog.?) v_event.event_type THEN
            v_problem := pg_catalog.format('the function returned an event of the type %L, for which it is not registered', v_event.event_type);
        ELSIF v_event.event_data IS NULL THEN
            v_problem := 'the function returned an event without event_data';
        ELSIF pg_catalog.texteq(v_event.event_type, p_event.event_type)
              AND pg_catalog.texteq(coalesce(v_event.metadata OPERATOR(pg_catalog.->>) 'schema_version', '1'), p_version) THEN
            v_event.metadata := coalesce(v_event.metadata, '{}') OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object(
                'schema_version', p_version::pg_catalog.int4 OPERATOR(pg_catalog.+) 1
            );
        END IF;
        v_results[v_index] := v_event;
    END LOOP;
    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR025',
            MESSAGE = pg_catalog.format(
                'the upcaster %s failed at version %s of %s/%s (position %s, %s of schema version %s): %s',
                p_step OPERATOR(pg_catalog.->>) 'function', p_event.version, p_event.aggregate_type, p_event.aggregate_id, p_event.id,
                p_event.event_type, p_version, v_problem
            ),
            DETAIL = coalesce(
                pg_catalog.format('SQLSTATE %s', v_state), pg_catalog.format('It returned %s events.', pg_catalog.cardinality(v_results))
            ),
            HINT = 'Mend the function: what is stored stays as it is.';
    END IF;
    RETURN v_results;
END
$$;

REVOKE ALL ON FUNCTION millrace.upcast_step(jsonb, text, millrace.events) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.upcast_step(jsonb, text, millrace.events) TO millrace_publisher, millrace_consumer, millrace_admin;
