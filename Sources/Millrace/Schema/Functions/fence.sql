-- The writer's half of the order. Before a transaction draws its first position it reads the sequence's last value F and
-- takes a shared advisory lock whose key carries F: all positions it will ever draw are greater than F, and the lock is
-- released only after the transaction has become visible. horizon() is the reader's half.
--
-- Once a transaction: F is kept in the transaction-local setting millrace.fence, else a transaction of 40,000 events would
-- hold 40,000 locks. The lock is taken again all the same; a held key is free. So the setting needs no trust: whatever
-- stands in it, a lock is taken on a value that is no greater than the last one, and a forged one only holds the horizon
-- lower. Setting and lock roll back together with a savepoint.
--
-- The class 0x4D52 ("MR") fills the key's upper 16 bits, the position its lower 48.
--
-- And the commit is forced to disk: a position read by a subscriber must not be handed out again after a crash.
--
-- Invoker: only the append functions call it, and they are definers. It asks for the last value itself, because another
-- definer's SET search_path inside of theirs measured 17 µs a call.
CREATE OR REPLACE FUNCTION millrace.fence() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_last  bigint := pg_catalog.pg_sequence_last_value('millrace.events_id_seq'::regclass);
    v_kept  text := pg_catalog.current_setting('millrace.fence', true);
    v_fence bigint := v_last;
BEGIN
    IF v_last IS NULL THEN
        PERFORM millrace.refuse_unseen_sequence();
    END IF;
    IF v_kept ~ '^[0-9]{1,15}$' AND v_kept::bigint <= v_last THEN
        v_fence := v_kept::bigint;
    ELSE
        PERFORM pg_catalog.set_config('millrace.fence', v_last::text, true);
    END IF;
    PERFORM pg_catalog.pg_advisory_xact_lock_shared((x'4D52'::bigint << 48) | v_fence);
    IF pg_catalog.current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        PERFORM pg_catalog.set_config('synchronous_commit', 'on', true);
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.fence() FROM PUBLIC;
