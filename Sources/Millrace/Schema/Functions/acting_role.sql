-- Who calls, also for a function that runs with the rights of Millrace's owner: the role that the session has set, or its own.
CREATE OR REPLACE FUNCTION millrace.acting_role() RETURNS name
LANGUAGE sql STABLE SECURITY INVOKER
AS $$ SELECT CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END::name $$;

REVOKE ALL ON FUNCTION millrace.acting_role() FROM PUBLIC;
