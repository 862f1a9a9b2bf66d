-- The trigger that guard_inline makes.
CREATE OR REPLACE FUNCTION millrace.check_inline() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    IF TG_ARGV[0] = ANY (string_to_array(current_setting('millrace.inline', true), ',')) THEN
        RETURN NULL;
    ELSIF NOT EXISTS (SELECT FROM millrace.projections AS p WHERE p.projection = TG_ARGV[0]) THEN
        RAISE EXCEPTION USING
            ERRCODE = '40001',
            MESSAGE = format('the projection %L is younger than this transaction', TG_ARGV[0]),
            HINT = 'Run the transaction again.';
    END IF;

    -- Where one of its generations wants what was appended, none is swapped from here to the end of the transaction: what serves then is known.
    PERFORM pg_advisory_xact_lock_shared(x'4D52'::int, hashtext('appends to ' || TG_ARGV[0]))
    WHERE EXISTS (
        SELECT
        FROM millrace.projection_generations AS g
        JOIN millrace.event_handlers AS h ON h.handler_id = g.handler_id
        JOIN new_events AS e ON (h.event_types IS NULL OR e.event_type = ANY (h.event_types))
                            AND (h.aggregate_types IS NULL OR e.aggregate_type = ANY (h.aggregate_types))
        WHERE g.projection = TG_ARGV[0]
    );
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        PERFORM FROM millrace.projections AS p WHERE p.projection = TG_ARGV[0] FOR SHARE;
    END IF;
    -- What does not serve yet reads it from the log.
    IF EXISTS (
        SELECT
        FROM millrace.projection_generations AS g
        JOIN millrace.event_handlers AS h ON h.handler_id = g.handler_id
        JOIN new_events AS e ON (h.event_types IS NULL OR e.event_type = ANY (h.event_types))
                            AND (h.aggregate_types IS NULL OR e.aggregate_type = ANY (h.aggregate_types))
        WHERE g.projection = TG_ARGV[0] AND g.state = 'serving'
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
