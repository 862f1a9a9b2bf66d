-- The state after an event, as the caller: lifted first where p_upcasters are given, then reduced by p_call, or merged where that is NULL; what is
-- no object changes nothing then. MR024, with the event that it is about, where the reducer fails.
--
-- Without a search_path of its own, because the functions run with the caller's; so whatever is looked up here says where.
CREATE OR REPLACE FUNCTION millrace.fold_event(
    p_function text, p_call text, p_upcasters jsonb, p_state jsonb, p_event millrace.events
) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_user   pg_catalog.name := current_user;
    v_state  pg_catalog.jsonb := p_state;
    v_events millrace.events[] := ARRAY[p_event];
    v_event  millrace.events;
BEGIN
    IF (p_upcasters OPERATOR(pg_catalog.->) p_event.event_type) IS NOT NULL THEN
        v_events := ARRAY(SELECT u FROM millrace.upcast_event(p_upcasters, p_event) AS u);
    END IF;
    IF p_call IS NULL THEN
        FOREACH v_event IN ARRAY v_events LOOP
            v_state := coalesce(v_state, '{}');
            IF pg_catalog.texteq(pg_catalog.jsonb_typeof(v_event.event_data), 'object') THEN
                v_state := v_state OPERATOR(pg_catalog.||) v_event.event_data;
            END IF;
        END LOOP;
        RETURN v_state;
    END IF;

    BEGIN
        FOREACH v_event IN ARRAY v_events LOOP
            EXECUTE p_call INTO v_state USING v_state, v_event;
            IF NOT pg_catalog.nameeq(current_user, v_user) THEN
                RAISE EXCEPTION 'the function left the session to %', pg_catalog.quote_ident(current_user);
            END IF;
        END LOOP;
    EXCEPTION
        WHEN transaction_rollback THEN
            RAISE;
        WHEN OTHERS OR assert_failure THEN
            RAISE EXCEPTION USING
                ERRCODE = 'MR024',
                MESSAGE = pg_catalog.format(
                    'the reducer %s failed at version %s of %s/%s (position %s, %s): %s', p_function, p_event.version,
                    p_event.aggregate_type, p_event.aggregate_id, p_event.id, v_event.event_type, SQLERRM
                ),
                DETAIL = pg_catalog.format('SQLSTATE %s', SQLSTATE),
                HINT = 'Mend the function: what is stored stays as it is. As of an earlier version there is a state.';
    END;
    RETURN v_state;
END
$$;

REVOKE ALL ON FUNCTION millrace.fold_event(text, text, jsonb, jsonb, millrace.events) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.fold_event(text, text, jsonb, jsonb, millrace.events)
    TO millrace_publisher, millrace_consumer, millrace_admin;
