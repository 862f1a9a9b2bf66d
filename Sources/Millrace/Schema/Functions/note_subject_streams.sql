-- Remembers that streams are to hold personal data of subjects, before they do: three arrays, an element each for one of both.
CREATE OR REPLACE FUNCTION millrace.note_subject_streams(p_subjects text[], p_aggregate_types text[], p_aggregate_ids text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    IF (cardinality(p_subjects) = cardinality(p_aggregate_types) AND cardinality(p_subjects) = cardinality(p_aggregate_ids)) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR004',
            MESSAGE = 'p_subjects, p_aggregate_types and p_aggregate_ids are of different lengths';
    END IF;
    PERFORM millrace.check_subject(s.subject) FROM unnest(p_subjects) AS s(subject);
    -- As take_subject_keys: what forget_subject does comes before or after, as a whole.
    LOCK TABLE millrace.subject_streams IN ROW EXCLUSIVE MODE;
    INSERT INTO millrace.subject_streams AS n (subject, aggregate_type, aggregate_id, forgotten_at)
    SELECT DISTINCT s.subject COLLATE "C", s.aggregate_type COLLATE "C", s.aggregate_id COLLATE "C",
           (SELECT max(o.forgotten_at) FROM millrace.subject_streams AS o WHERE o.subject = s.subject)
    FROM unnest(p_subjects, p_aggregate_types, p_aggregate_ids) AS s(subject, aggregate_type, aggregate_id)
    ORDER BY 1, 2, 3
    ON CONFLICT DO NOTHING;
END
$$;

REVOKE ALL ON FUNCTION millrace.note_subject_streams(text[], text[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.note_subject_streams(text[], text[], text[]) TO millrace_publisher, millrace_importer, millrace_admin;
