-- Begins the ledger: from now on a sealer may seal, everything from the first event on. p_verifier_key is the public key, as a signed note names it; the
-- private one never comes here. Once.
CREATE OR REPLACE FUNCTION millrace.init_ledger(
    p_origin text, p_verifier_key text, p_seal_interval interval DEFAULT interval '1 second'
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    IF getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR028',
            MESSAGE = format('the encoding of this database is %s', getdatabaseencoding()),
            HINT = 'A ledger is of UTF-8: keep it in a database with ENCODING UTF8.';
    END IF;
    PERFORM millrace.check_verifier_key(p_origin, p_verifier_key);
    INSERT INTO millrace.ledger (origin, seal_interval) VALUES (p_origin, p_seal_interval)
    ON CONFLICT ON CONSTRAINT ledger_pkey DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR028',
            MESSAGE = format('this store keeps a ledger already, %s', (SELECT l.origin FROM millrace.ledger AS l)),
            HINT = 'Rotate its key (rotate_ledger_key) or declare aggregate types (declare_ledgered).';
    END IF;
    INSERT INTO millrace.ledger_keys (key_number, verifier_key) VALUES (1, p_verifier_key);
    UPDATE millrace.store AS s SET ledgered_types = s.ledgered_types || '{millrace.administration}';
    PERFORM millrace.record_act('ledger_created', p_origin, NULL, jsonb_build_object('verifier_key', p_verifier_key));
END
$$;

REVOKE ALL ON FUNCTION millrace.init_ledger(text, text, interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.init_ledger(text, text, interval) TO millrace_admin;
