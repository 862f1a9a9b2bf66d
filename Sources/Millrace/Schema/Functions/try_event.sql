-- Runs a handler's function on one event, lifted where p_upcasters are given, as the caller, in a subtransaction that is undone unless the answer is done, and says how it
-- ended: success, or what set_event_aside made of it. Where an operator discards the event, p_discarded says why, and it is only written down.
--
-- Constraints that wait for the commit are checked here where p_checks, or the commit would fail for all events of the transaction, again
-- and again, and nobody could tell whose fault it is. In a subtransaction that is always undone, so that they wait on as before.
CREATE OR REPLACE FUNCTION millrace.try_event(
    p_call text, p_handler_id text, p_lane int, p_event millrace.events, p_attempt int, p_discarded text, p_worker text, p_checks boolean,
    p_upcasters jsonb, p_types text[]
) RETURNS millrace.event_audit
-- Without a search_path of its own, because the function runs with the caller's; so whatever is looked up here says where.
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    c_longest_error CONSTANT pg_catalog.int4 := 2000;
    v_user    pg_catalog.name := current_user;
    v_began   pg_catalog.timestamptz;
    v_ended   pg_catalog.timestamptz;
    v_answer  pg_catalog.text;
    v_error   pg_catalog.text;
    v_kind    pg_catalog.text;
    v_checked pg_catalog.bool := false;
    v_try     millrace.event_audit;
BEGIN
    v_try.handler_id := p_handler_id;
    v_try.position := p_event.id;
    v_try.event_id := p_event.event_id;
    v_try.event_type := p_event.event_type;
    v_try.lane := p_lane;
    v_try.attempt := p_attempt;
    v_try.status := CASE WHEN p_discarded IS NULL THEN 'success' ELSE 'discarded' END;
    v_try.error := p_discarded;
    v_try.worker := p_worker;
    v_try.processed_at := pg_catalog.clock_timestamp();
    v_try.duration := '0'::pg_catalog.interval;
    IF p_discarded IS NOT NULL THEN
        RETURN v_try;
    END IF;

    v_began := pg_catalog.clock_timestamp();
    BEGIN
        IF p_upcasters IS NULL THEN
            EXECUTE p_call INTO v_answer USING p_event;
        ELSE
            v_answer := millrace.handle_lifted(p_call, p_event, p_upcasters, p_types);
        END IF;
        IF NOT pg_catalog.nameeq(current_user, v_user) THEN
            RAISE EXCEPTION USING
                ERRCODE = 'MR018',
                MESSAGE = pg_catalog.format('the function left the session to %I', current_user),
                HINT = 'Follow SET ROLE within a handler by RESET ROLE.';
        END IF;
        IF p_checks THEN
            BEGIN
                SET CONSTRAINTS ALL IMMEDIATE;
                v_checked := true;
                RAISE EXCEPTION 'only to undo it';
            EXCEPTION WHEN OTHERS THEN
                IF NOT v_checked THEN
                    RAISE;
                END IF;
            END;
        END IF;
        IF v_answer IS NOT NULL AND NOT pg_catalog.texteq(v_answer, 'done') THEN
            IF v_answer OPERATOR(pg_catalog.=) ANY ('{retry,park,stop}'::pg_catalog.text[]) THEN
                v_kind := v_answer;
                v_error := pg_catalog.format('the function answered %s', v_answer);
            ELSE
                v_kind := 'unknown answer';
                v_error := pg_catalog.format('the function answered %L, which is none of done, retry, park and stop', v_answer);
            END IF;
            RAISE EXCEPTION 'only to undo it';
        END IF;
        v_ended := pg_catalog.clock_timestamp();
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        v_ended := pg_catalog.clock_timestamp();
        IF v_kind IS NULL THEN
            v_kind := pg_catalog.format('SQLSTATE %s', SQLSTATE);
            v_error := SQLERRM;
        END IF;
        v_error := pg_catalog.left(v_error, c_longest_error);
    END;
    v_try.processed_at := v_ended;
    v_try.duration := pg_catalog.timestamptz_mi(v_ended, v_began);
    IF v_kind IS NOT NULL THEN
        v_try.error := v_error;
        v_try.status := millrace.set_event_aside(p_handler_id, p_lane, p_event, p_attempt, v_error, v_kind);
    END IF;
    RETURN v_try;
END
$$;

REVOKE ALL ON FUNCTION millrace.try_event(
    text, text, int, millrace.events, int, text, text, boolean, jsonb, text[]
) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.try_event(
    text, text, int, millrace.events, int, text, text, boolean, jsonb, text[]
) TO millrace_consumer, millrace_admin;
