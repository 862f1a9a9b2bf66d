-- Reading the log takes two snapshots: one for the horizon, a newer one for the rows. A transaction with a single snapshot
-- would miss events that committed below the horizon after it began.
CREATE OR REPLACE FUNCTION millrace.check_isolation() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_level text := pg_catalog.current_setting('transaction_isolation');
BEGIN
    IF v_level NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR005',
            MESSAGE = format('the log cannot be read in a %s transaction: its snapshot may be older than the horizon',
                             upper(v_level)),
            HINT = 'Read in READ COMMITTED, or outside of a transaction.';
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.check_isolation() FROM PUBLIC;
