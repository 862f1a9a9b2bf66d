-- Gives a forgotten subject a new key, with which its personal data can be published again; what was forgotten stays so. Whether there was need.
CREATE OR REPLACE FUNCTION millrace.renew_subject_key(p_subject text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    PERFORM millrace.check_subject(p_subject);
    LOCK TABLE millrace.subject_keys IN SHARE ROW EXCLUSIVE MODE;
    INSERT INTO millrace.subject_keys AS k (subject, key)
    SELECT p_subject, sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
    WHERE EXISTS (SELECT FROM millrace.subject_keys AS o WHERE o.subject = p_subject)
    ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$$;

REVOKE ALL ON FUNCTION millrace.renew_subject_key(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.renew_subject_key(text) TO millrace_admin;
