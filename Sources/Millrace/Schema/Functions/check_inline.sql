-- The trigger that guard_inline makes.
CREATE OR REPLACE FUNCTION millrace.check_inline() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_handler millrace.event_handlers;
BEGIN
    IF TG_ARGV[0] = ANY (string_to_array(current_setting('millrace.inline', true), ',')) THEN
        RETURN NULL;
    END IF;
    SELECT h.* INTO v_handler
    FROM millrace.projection_generations AS g
    JOIN millrace.event_handlers AS h ON h.handler_id = g.handler_id
    WHERE g.projection = TG_ARGV[0]
    ORDER BY g.state = 'serving' DESC, g.generation DESC
    LIMIT 1;
    IF v_handler.handler_id IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '40001',
            MESSAGE = format('the projection %L is younger than this transaction', TG_ARGV[0]),
            HINT = 'Run the transaction again.';
    ELSIF EXISTS (
        SELECT
        FROM new_events AS e
        WHERE (v_handler.event_types IS NULL OR e.event_type = ANY (v_handler.event_types))
          AND (v_handler.aggregate_types IS NULL OR e.aggregate_type = ANY (v_handler.aggregate_types))
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR027',
            MESSAGE = format('the inline projection %L was left out of this append', TG_ARGV[0]),
            HINT = format('Append through a store that has it in the version that serves (EventStore(client, projecting: […])), or where '
                          'functions write it with publish_and_project; import before it is registered. `millrace projections` shows %s.', TG_ARGV[0]);
    END IF;
    RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION millrace.check_inline() FROM PUBLIC;
