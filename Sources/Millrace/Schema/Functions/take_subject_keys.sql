-- The key in use of each subject, made where the subject never had one. Without a key where the subject was forgotten: a new one is made by
-- renew_subject_key only. However many ask at once, they are given the same.
CREATE OR REPLACE FUNCTION millrace.take_subject_keys(p_subjects text[])
RETURNS TABLE (subject text, key_id uuid, key bytea, forgotten_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    PERFORM millrace.check_subject(s.subject) FROM unnest(p_subjects) AS s(subject);
    IF EXISTS (
        SELECT FROM unnest(p_subjects) AS s(subject)
        WHERE NOT EXISTS (SELECT FROM millrace.subject_keys AS k WHERE k.subject = s.subject)
    ) THEN
        -- In a statement of its own: what looks again afterwards sees what destroy_subject_keys, which excludes this, has done.
        LOCK TABLE millrace.subject_keys IN ROW EXCLUSIVE MODE;
        -- In one order, so that two callers cannot deadlock. The server's own random numbers, of which a UUID has 122 bits.
        INSERT INTO millrace.subject_keys AS k (subject, key)
        SELECT s.subject,
               sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
        FROM (SELECT DISTINCT u.subject FROM unnest(p_subjects) AS u(subject)) AS s
        WHERE NOT EXISTS (SELECT FROM millrace.subject_keys AS o WHERE o.subject = s.subject)
        ORDER BY s.subject COLLATE "C"
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN QUERY
    SELECT DISTINCT ON (k.subject) k.subject, k.key_id, k.key, k.forgotten_at
    FROM millrace.subject_keys AS k
    WHERE k.subject = ANY (p_subjects)
    ORDER BY k.subject, k.forgotten_at DESC NULLS FIRST;
END
$$;

REVOKE ALL ON FUNCTION millrace.take_subject_keys(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.take_subject_keys(text[]) TO millrace_publisher, millrace_importer, millrace_admin;
