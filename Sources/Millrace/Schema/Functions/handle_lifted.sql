-- Runs a handler's function, as the caller, on each event that a stored one has become, up to the first answer that is not done; what it
-- answered last. Of what has become of another type than stored only those of p_types, unless the stored type is among them too, or NULL.
--
-- Without a search_path of its own, because the functions run with the caller's; so whatever is looked up here says where.
CREATE OR REPLACE FUNCTION millrace.handle_lifted(p_call text, p_event millrace.events, p_upcasters jsonb, p_types text[]) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_takes_all pg_catalog.bool := p_types IS NULL OR p_event.event_type OPERATOR(pg_catalog.=) ANY (p_types);
    v_event     millrace.events;
    v_answer    pg_catalog.text;
BEGIN
    FOR v_event IN SELECT u.* FROM millrace.upcast_event(p_upcasters, p_event) AS u LOOP
        CONTINUE WHEN NOT v_takes_all AND NOT v_event.event_type OPERATOR(pg_catalog.=) ANY (p_types);
        EXECUTE p_call INTO v_answer USING v_event;
        EXIT WHEN NOT pg_catalog.texteq(v_answer, 'done');
    END LOOP;
    RETURN v_answer;
END
$$;

REVOKE ALL ON FUNCTION millrace.handle_lifted(text, millrace.events, jsonb, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.handle_lifted(text, millrace.events, jsonb, text[]) TO millrace_publisher, millrace_consumer, millrace_admin;
