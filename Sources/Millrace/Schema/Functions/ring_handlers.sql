-- Tells the workers of a handler to look again: a lane is free, or an operator wants something. A hint like every other; they also look at
-- every beat.
CREATE OR REPLACE FUNCTION millrace.ring_handlers(p_handler_id text) RETURNS void
LANGUAGE sql VOLATILE SECURITY INVOKER
AS $$ SELECT pg_catalog.pg_notify('handler_channel', p_handler_id) $$;

REVOKE ALL ON FUNCTION millrace.ring_handlers(text) FROM PUBLIC;
