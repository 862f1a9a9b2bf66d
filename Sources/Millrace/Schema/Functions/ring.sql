-- Whether the doorbell rings inside of the publisher's transaction: unless millrace.notify_on_publish turns it off, and only
-- by then, because a NOTIFY is paid for in the commit. True where it rang.
CREATE OR REPLACE FUNCTION millrace.ring(p_position bigint) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY INVOKER
AS $$
    SELECT lower(coalesce(current_setting('millrace.notify_on_publish', true), 'on')) NOT IN ('off', 'false', 'no', '0')
        AND pg_notify('event_channel', p_position::text) IS NOT NULL
$$;

REVOKE ALL ON FUNCTION millrace.ring(bigint) FROM PUBLIC;
