-- For import_lines only: whoever could call it could say that lines were dealt with which were not.
--
-- In the transaction that stores the lines: the import p_name has dealt with the input's first p_lines lines, whose hash is
-- p_prefix_hash. p_resume_from is the number of lines the caller went on from: where the row has another, two processes
-- run the same import, and the second one's lines are taken back with its transaction.
CREATE OR REPLACE FUNCTION millrace.record_import(
    p_name          text,
    p_resume_from   bigint,
    p_lines         bigint,
    p_prefix_hash   bytea,
    p_events_stored bigint,
    p_finished      boolean DEFAULT false
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
    IF (char_length(p_name) BETWEEN 1 AND 255) IS NOT TRUE THEN
        PERFORM millrace.refuse_name('the import''s name', p_name, NULL);
    ELSIF (p_resume_from >= 0 AND p_lines >= p_resume_from AND p_events_stored >= 0 AND p_prefix_hash IS NOT NULL)
          IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011',
            MESSAGE = format('import %s cannot go from line %s to line %s with %s events stored',
                             p_name, p_resume_from, p_lines, p_events_stored),
            HINT = 'Lines are counted from the beginning of the input and never go back; the hash is over all of them.';
    END IF;

    INSERT INTO millrace.imports (name, lines, prefix_hash, events_stored, started_at, updated_at)
    VALUES (p_name, 0, '', 0, clock_timestamp(), clock_timestamp())
    ON CONFLICT ON CONSTRAINT imports_pkey DO NOTHING;

    UPDATE millrace.imports AS i
    SET lines = p_lines,
        prefix_hash = p_prefix_hash,
        events_stored = i.events_stored + p_events_stored,
        updated_at = clock_timestamp(),
        finished_at = CASE WHEN p_finished THEN clock_timestamp() END
    WHERE i.name = p_name AND i.lines = p_resume_from;

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR012',
            MESSAGE = format('import %s is not at line %s any more', p_name, p_resume_from),
            HINT = 'Another process runs an import of this name; read where it is and go on from there.';
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.record_import(text, bigint, bigint, bytea, bigint, boolean) FROM PUBLIC;
