-- Refuses what is no Ed25519 verifier key of the note format, or is of another name than the ledger's: name+hash+base64, where the hash is the first four bytes
-- of SHA-256(name ‖ newline ‖ key) and the key its type, 1, and 32 bytes.
CREATE OR REPLACE FUNCTION millrace.check_verifier_key(p_origin text, p_verifier_key text) RETURNS void
LANGUAGE plpgsql STABLE SECURITY INVOKER
AS $$
DECLARE
    v_parts text[] := regexp_match(p_verifier_key, '^([^[:space:]+]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})$');
    v_key   bytea;
BEGIN
    IF v_parts IS NOT NULL THEN
        v_key := decode(v_parts[3], 'base64');
    END IF;
    IF (get_byte(v_key, 0) = 1 AND octet_length(v_key) = 33 AND v_parts[1] = p_origin
        AND left(encode(sha256(convert_to(v_parts[1] || E'\n', 'UTF8') || v_key), 'hex'), 8) = v_parts[2]) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR028',
            MESSAGE = format('%L is no Ed25519 verifier key of %L', p_verifier_key, p_origin),
            HINT = 'Give the line that `millrace ledger keys generate` prints for everybody, made for the ledger''s origin.';
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.check_verifier_key(text, text) FROM PUBLIC;
