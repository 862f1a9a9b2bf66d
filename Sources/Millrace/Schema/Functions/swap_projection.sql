-- Lets a generation serve in the place of the one that does, in one transaction, where it is equal to it: answers NULL then, and otherwise why
-- not yet. Its indexes are made before, with index_generation. p_force: as it is, however far behind.
--
-- Readers wait for the views' locks only, and not behind this: where a reader holds one for longer than p_lock_ms, it gives up (55P03), to be
-- called again.
CREATE OR REPLACE FUNCTION millrace.swap_projection(
    p_projection text, p_generation int, p_wait_ms int DEFAULT 1000, p_force boolean DEFAULT false, p_reason text DEFAULT NULL,
    p_lock_ms int DEFAULT 100
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_why text;
BEGIN
    v_why := millrace.settle_swap(p_projection, p_generation, p_wait_ms, p_force, p_reason);
    IF v_why IS NULL THEN
        PERFORM set_config('lock_timeout', p_lock_ms || 'ms', true);
        PERFORM millrace.publish_generation(p_projection, p_generation);
    END IF;
    RETURN v_why;
END
$$;

REVOKE ALL ON FUNCTION millrace.swap_projection(text, int, int, boolean, text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.swap_projection(text, int, int, boolean, text, int) TO millrace_consumer, millrace_admin;
