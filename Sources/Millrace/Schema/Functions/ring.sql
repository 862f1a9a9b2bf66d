-- The doorbell inside the transaction, unless millrace.notify_on_publish turns it off.
CREATE OR REPLACE FUNCTION millrace.ring(p_position bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
    IF lower(coalesce(current_setting('millrace.notify_on_publish', true), 'on')) NOT IN ('off', 'false', 'no', '0') THEN
        PERFORM pg_notify('event_channel', p_position::text);
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.ring(bigint) FROM PUBLIC;
