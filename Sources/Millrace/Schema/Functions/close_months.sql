-- Closes the months that are over, one step at a call, because the steps need transactions of their own; call it until it
-- answers closed, daily or more often. One row:
-- closing: nothing is stored in those months from this transaction's commit on; call again after it.
-- busy: a transaction that may still store something there is open (see horizon_holders); call again later.
-- closed: the positions of every month that is over are known.
--
-- Whoever takes a fence after the first step's commit sees the new bound, unless his snapshot is older; those are waited for. Who
-- took one before has an F no greater than the sequence's last value as read here, in a later transaction: all those fences have
-- to be gone. Not the horizon is asked, which may equal that value while such a fence is held.
CREATE OR REPLACE FUNCTION millrace.close_months() RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
DECLARE
    c_attempts CONSTANT int := 50;
    v_month_begins timestamptz := date_trunc('month', clock_timestamp(), 'UTC');
    v_open_since   timestamptz;
    v_last         bigint;
    v_lower        timestamptz;
    v_upper        timestamptz;
BEGIN
    PERFORM millrace.check_isolation();
    -- The class after that of make_partitions: two sessions close months one after the other.
    PERFORM pg_advisory_xact_lock(x'4D54'::bigint << 48);

    SELECT s.open_since INTO STRICT v_open_since FROM millrace.store AS s;
    IF v_open_since < v_month_begins THEN
        UPDATE millrace.store AS s SET open_since = v_month_begins WHERE s.open_since < v_month_begins;
        RETURN 'closing';
    END IF;

    SELECT max(m.upper_bound) INTO v_lower FROM millrace.closed_months AS m;
    IF v_lower = v_open_since THEN
        RETURN 'closed';
    END IF;

    v_last := millrace.latest_position();
    FOR v_attempt IN 1 .. c_attempts LOOP
        EXIT WHEN NOT EXISTS (
            SELECT FROM pg_locks AS l
            WHERE l.locktype = 'advisory' AND l.mode = 'ShareLock' AND l.granted AND l.objsubid = 1
              AND l.classid::bigint >> 16 = x'4D52'::bigint
              AND (l.classid::bigint & 65535) << 32 | l.objid::bigint <= v_last
              AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
        ) AND NOT EXISTS (
            SELECT FROM pg_stat_activity AS a, millrace.store AS s
            WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND age(a.backend_xmin) >= age(s.xmin)
        );
        IF v_attempt = c_attempts THEN
            RETURN 'busy';
        END IF;
        PERFORM pg_sleep(0.02);
    END LOOP;

    -- The first of them reaches back to whatever is older than the oldest event.
    v_upper := coalesce(v_lower, (
        SELECT date_trunc('month', e.created_at, 'UTC') FROM millrace.events AS e ORDER BY e.id LIMIT 1
    ), date_trunc('month', v_open_since - interval '1 day', 'UTC'));
    v_lower := coalesce(v_lower, '-infinity');
    WHILE v_upper < v_open_since LOOP
        v_upper := date_trunc('month', v_upper + interval '32 days', 'UTC');
        INSERT INTO millrace.closed_months (lower_bound, upper_bound, first_position, last_position)
        SELECT v_lower, v_upper, min(e.id), max(e.id)
        FROM millrace.events AS e
        WHERE e.created_at >= v_lower AND e.created_at < v_upper;
        v_lower := v_upper;
    END LOOP;
    RETURN 'closed';
END
$$;

REVOKE ALL ON FUNCTION millrace.close_months() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.close_months() TO millrace_admin;
