-- The reader's half of the order: the highest position up to which nothing can still appear.
--
-- The last value H is read first, and the held fences in a later statement. A writer whose lock is not there yet by then
-- draws its positions after H was read, so they are greater than H; one whose lock is there draws greater than its F; one
-- whose lock is gone is visible to every later snapshot. Hence VOLATILE, hence two statements, and hence read what lies
-- below the result in a statement (with a snapshot) of its own.
--
-- A bound for one read, never a position to keep (see latest_position).
CREATE OR REPLACE FUNCTION millrace.horizon() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_last  bigint;
    v_fence bigint;
BEGIN
    IF pg_catalog.pg_is_in_recovery() THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR006',
            MESSAGE = 'a standby cannot compute the horizon: it does not see the locks of the primary',
            HINT = 'Read the log on the primary.';
    END IF;

    v_last := coalesce(pg_catalog.pg_sequence_last_value('millrace.events_id_seq'::regclass), millrace.refuse_unseen_sequence());

    SELECT min((l.classid::bigint & 65535) << 32 | l.objid::bigint) INTO v_fence
    FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'advisory'
      AND l.mode = 'ShareLock'
      AND l.granted
      AND l.objsubid = 1
      AND l.classid::bigint >> 16 = x'4D52'::bigint
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database());

    RETURN least(v_last, v_fence);
END
$$;

REVOKE ALL ON FUNCTION millrace.horizon() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.horizon()
    TO millrace_publisher, millrace_consumer, millrace_importer, millrace_admin;
