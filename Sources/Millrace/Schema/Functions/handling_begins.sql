-- Before the events of a call of run_sql_handler or process_events_batch: notes in the transaction that a handler works, until handling_ends,
-- or the transaction's end. What it runs cannot begin handling itself (MR019): both would hold the same lanes, and handle the same events.
CREATE OR REPLACE FUNCTION millrace.handling_begins() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
    PERFORM millrace.check_isolation();
    IF current_setting('millrace.handling', true) = 'on' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR019',
            MESSAGE = 'a handler''s function cannot process events itself',
            HINT = 'Publish an event and let it be handled after this transaction.';
    END IF;
    PERFORM set_config('millrace.handling', 'on', true);
END
$$;

REVOKE ALL ON FUNCTION millrace.handling_begins() FROM PUBLIC;
