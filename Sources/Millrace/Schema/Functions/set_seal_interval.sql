-- How long an event may stay unsealed while a sealer runs, from 100 milliseconds to an hour. Sealers read it anew with every block.
CREATE OR REPLACE FUNCTION millrace.set_seal_interval(p_interval interval) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_ledger millrace.ledger := millrace.require_ledger();
BEGIN
    IF (p_interval BETWEEN interval '100 milliseconds' AND interval '1 hour') IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('p_interval is %s', coalesce(p_interval::text, 'missing')),
            HINT = 'Give 100 milliseconds to 1 hour.';
    END IF;
    UPDATE millrace.ledger AS l SET seal_interval = p_interval;
    PERFORM millrace.record_act('seal_interval_set', v_ledger.origin, NULL,
                                jsonb_build_object('from', v_ledger.seal_interval, 'to', p_interval));
END
$$;

REVOKE ALL ON FUNCTION millrace.set_seal_interval(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.set_seal_interval(interval) TO millrace_admin;
