-- Makes this month and the next ones, and the default that catches what has no month: idempotent, and safe from two
-- sessions at once. One row a partition: created, present, busy (some transaction would not let go of the default partition:
-- call again later), or in_default (the default holds events of that month already, and has to be drained first).
--
-- A partition is made stand-alone, guarded, and only then attached: CREATE TABLE … PARTITION OF takes an exclusive lock on
-- the parent. ATTACH takes one on the default partition only, which a transaction that read all months may hold. An append
-- queued behind such a wait must not stall for long: 50 ms, then it is given up and tried again.
CREATE OR REPLACE FUNCTION millrace.make_partitions(p_months_ahead int DEFAULT 3)
RETURNS TABLE (partition_name text, month date, outcome text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_this_month timestamp := date_trunc('month', greatest(clock_timestamp(), (SELECT s.open_since FROM millrace.store AS s))
                                                  AT TIME ZONE 'UTC');
    v_month      timestamp;
BEGIN
    IF (p_months_ahead BETWEEN 0 AND 120) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('p_months_ahead is %s', coalesce(p_months_ahead::text, 'missing')),
            HINT = 'Give a number from 0 to 120.';
    END IF;
    -- The class next to the fence's: two sessions make partitions one after the other.
    PERFORM pg_advisory_xact_lock(x'4D53'::bigint << 48);

    IF to_regclass('millrace.events_default') IS NULL THEN
        CREATE TABLE millrace.events_default (LIKE millrace.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE);
        PERFORM millrace.guard_partition('events_default');
        ALTER TABLE millrace.events ATTACH PARTITION millrace.events_default DEFAULT;
        RETURN QUERY SELECT 'events_default', NULL::date, 'created';
    END IF;

    FOR v_months IN 0 .. p_months_ahead LOOP
        v_month := v_this_month + make_interval(months => v_months);
        RETURN QUERY SELECT to_char(v_month, '"events_"YYYY_MM'), v_month::date, millrace.make_partition(v_month::date);
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION millrace.make_partitions(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.make_partitions(int) TO millrace_admin;
