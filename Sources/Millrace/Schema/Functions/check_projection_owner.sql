-- Refuses to change a projection for whoever cannot act as its owner (42501).
CREATE OR REPLACE FUNCTION millrace.check_projection_owner(p_projection text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_owner name := (SELECT p.owner FROM millrace.projections AS p WHERE p.projection = p_projection);
BEGIN
    IF v_owner IS NOT NULL AND pg_has_role(millrace.acting_role(), v_owner, 'MEMBER') IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = '42501',
            MESSAGE = format('the projection %L belongs to %I, whom %I may not act as', p_projection, v_owner, millrace.acting_role()),
            HINT = format('Connect as %I, or as a role that is a member of it.', v_owner);
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.check_projection_owner(text) FROM PUBLIC;
