-- The ledger's row; an error that says what to do where none is kept.
CREATE OR REPLACE FUNCTION millrace.require_ledger() RETURNS millrace.ledger
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_ledger millrace.ledger;
BEGIN
    SELECT l.* INTO v_ledger FROM millrace.ledger AS l;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR028',
            MESSAGE = 'this store keeps no ledger',
            HINT = 'Begin one with `millrace ledger init`.';
    END IF;
    RETURN v_ledger;
END
$$;

REVOKE ALL ON FUNCTION millrace.require_ledger() FROM PUBLIC;
