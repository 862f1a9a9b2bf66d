-- The key that signs from now on. p_endorsement is the note with which the key before it says so; whoever trusts that one trusts this one. The sealers
-- have to have it: one that goes on with the old key is refused.
CREATE OR REPLACE FUNCTION millrace.rotate_ledger_key(p_verifier_key text, p_endorsement text, p_reason text DEFAULT NULL) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_ledger millrace.ledger := millrace.require_ledger();
    v_number int;
BEGIN
    PERFORM millrace.check_verifier_key(v_ledger.origin, p_verifier_key);
    IF (position(E'\n' || p_verifier_key || E'\n' IN p_endorsement) > 0) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR028',
            MESSAGE = 'the endorsement does not name the new key',
            HINT = 'Rotate with `millrace ledger keys rotate`, which has the old key sign the new one.';
    END IF;
    -- Not while a block is being sealed, which is signed with the key before.
    PERFORM pg_advisory_xact_lock(x'4D55'::bigint << 48);
    INSERT INTO millrace.ledger_keys (key_number, verifier_key, endorsement)
    SELECT max(k.key_number) + 1, p_verifier_key, p_endorsement FROM millrace.ledger_keys AS k
    RETURNING key_number INTO v_number;
    PERFORM millrace.record_act('key_rotated', v_ledger.origin, p_reason, jsonb_build_object('verifier_key', p_verifier_key));
    RETURN v_number;
END
$$;

REVOKE ALL ON FUNCTION millrace.rotate_ledger_key(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.rotate_ledger_key(text, text, text) TO millrace_admin;
