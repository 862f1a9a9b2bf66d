-- The sequence starts at 0, so that no last value always means that its owner may not see it, or that this is no primary.
-- Taken for 0, it would silently stall every reader. Returns a position in name only, so that it can stand in the place of one.
CREATE OR REPLACE FUNCTION millrace.refuse_unseen_sequence() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'MR009',
        MESSAGE = format('the sequence millrace.events_id_seq cannot be seen by %I', current_user),
        HINT = 'Let one role own the schema millrace, its sequence and its functions, and work on the primary.';
END
$$;

REVOKE ALL ON FUNCTION millrace.refuse_unseen_sequence() FROM PUBLIC;
