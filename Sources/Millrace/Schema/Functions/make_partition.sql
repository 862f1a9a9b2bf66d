-- One month's partition; see make_partitions, its only caller, who holds the lock that keeps two of these apart. Whatever
-- goes wrong with attaching takes the new table away again, with the subtransaction it was made in.
CREATE OR REPLACE FUNCTION millrace.make_partition(p_month date) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    c_attempts CONSTANT int := 20;
    v_name text := to_char(p_month, '"events_"YYYY_MM');
    -- In a form that no DateStyle and no TimeZone of the session reads otherwise.
    v_from text := to_char(p_month, 'YYYY-MM-DD') || ' 00:00:00+00';
    v_to   text := to_char(p_month + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00';
    v_timeout text := current_setting('lock_timeout');
BEGIN
    IF to_regclass(format('millrace.%I', v_name)) IS NOT NULL THEN
        RETURN 'present';
    END IF;

    FOR v_attempt IN 1 .. c_attempts LOOP
        BEGIN
            EXECUTE format('CREATE TABLE millrace.%I (LIKE millrace.events '
                           'INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', v_name);
            PERFORM millrace.guard_partition(v_name);
            PERFORM set_config('lock_timeout', '50ms', true);
            EXECUTE format('ALTER TABLE millrace.events ATTACH PARTITION millrace.%I FOR VALUES FROM (%L) TO (%L)',
                           v_name, v_from, v_to);
            PERFORM set_config('lock_timeout', v_timeout, true);
            RETURN 'created';
        EXCEPTION
            WHEN lock_not_available THEN
                PERFORM pg_sleep(0.025 * (1 + random()));
            WHEN check_violation THEN
                RETURN 'in_default';
        END;
    END LOOP;
    RETURN 'busy';
END
$$;

REVOKE ALL ON FUNCTION millrace.make_partition(date) FROM PUBLIC;
