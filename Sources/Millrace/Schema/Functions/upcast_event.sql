-- What a stored event means now, as the caller: lifted step by step until no upcaster fits, in the order in which the functions return events;
-- none where it is dropped. p_upcasters is what upcaster_calls says.
--
-- Without a search_path of its own, because the functions run with the caller's; so whatever is looked up here says where.
CREATE OR REPLACE FUNCTION millrace.upcast_event(p_upcasters jsonb, p_event millrace.events) RETURNS SETOF millrace.events
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    -- Of one stored event, whatever becomes of it: upcasters that go round in circles end here.
    c_most_steps CONSTANT pg_catalog.int4 := 100;
    v_open    millrace.events[] := ARRAY[p_event];
    v_event   millrace.events;
    v_version pg_catalog.text;
    v_step    pg_catalog.jsonb;
    v_steps   pg_catalog.int4 := 0;
BEGIN
    WHILE pg_catalog.cardinality(v_open) OPERATOR(pg_catalog.>) 0 LOOP
        v_event := v_open[1];
        v_open := v_open[2:];
        v_version := coalesce(v_event.metadata OPERATOR(pg_catalog.->>) 'schema_version', '1');
        v_step := p_upcasters OPERATOR(pg_catalog.->) v_event.event_type;
        v_step := coalesce(v_step OPERATOR(pg_catalog.->) v_version, v_step OPERATOR(pg_catalog.->) '*');
        IF v_step IS NULL THEN
            RETURN NEXT v_event;
        ELSE
            v_steps := v_steps OPERATOR(pg_catalog.+) 1;
            IF v_steps OPERATOR(pg_catalog.>) c_most_steps THEN
                RAISE EXCEPTION USING
                    ERRCODE = 'MR025',
                    MESSAGE = pg_catalog.format(
                        'version %s of %s/%s (position %s, %s) is not lifted after %s steps; the next would be %s for %s of schema version %s',
                        p_event.version, p_event.aggregate_type, p_event.aggregate_id, p_event.id, p_event.event_type, c_most_steps,
                        v_step OPERATOR(pg_catalog.->>) 'function', v_event.event_type, v_version
                    ),
                    HINT = 'Upcasters go round in circles: SELECT * FROM millrace.event_upcasters shows them.';
            END IF;
            v_open := pg_catalog.array_cat(millrace.upcast_step(v_step, v_version, v_event), v_open);
        END IF;
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION millrace.upcast_event(jsonb, millrace.events) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.upcast_event(jsonb, millrace.events) TO millrace_publisher, millrace_consumer, millrace_admin;
