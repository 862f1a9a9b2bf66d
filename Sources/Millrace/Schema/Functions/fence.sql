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
-- One expression in SQL, which becomes part of the expression it is called in, because a publisher pays for it in every
-- transaction: as a function of its own language, with variables, it measured three times as much. Always true. Invoker: only
-- the append functions call it, and they are definers.
CREATE OR REPLACE FUNCTION millrace.fence() RETURNS boolean
LANGUAGE sql VOLATILE SECURITY INVOKER
AS $$
    SELECT pg_advisory_xact_lock_shared((x'4D52'::bigint << 48) | CASE
        WHEN current_setting('millrace.fence', true) ~ '^[0-9]{1,15}$'
             AND current_setting('millrace.fence', true)::bigint <= coalesce(
                 pg_sequence_last_value('millrace.events_id_seq'::regclass), millrace.refuse_unseen_sequence())
            THEN current_setting('millrace.fence', true)::bigint
        ELSE set_config('millrace.fence', coalesce(
                 pg_sequence_last_value('millrace.events_id_seq'::regclass), millrace.refuse_unseen_sequence())::text, true)::bigint
    END) IS NOT NULL
    AND (current_setting('synchronous_commit') IN ('on', 'remote_apply') OR set_config('synchronous_commit', 'on', true) = 'on')
$$;

REVOKE ALL ON FUNCTION millrace.fence() FROM PUBLIC;
