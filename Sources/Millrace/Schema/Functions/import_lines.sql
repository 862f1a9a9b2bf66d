-- A chunk of the import p_name, stored once: its events and how far the import has come move in one transaction, so a
-- process that was killed at any moment goes on where the database says. p_lines are the input's lines after the first
-- p_resume_from and up to p_through, without the empty ones and those set aside; p_prefix_hash is over all p_through.
--
-- Every line is a request of its own: an event whose id its stream has already is counted as repeated. Anything wrong with
-- any line stores nothing of the chunk; check_import_lines then says which lines, and why.
CREATE OR REPLACE FUNCTION millrace.import_lines(
    p_name        text,
    p_resume_from bigint,
    p_through     bigint,
    p_prefix_hash bytea,
    p_lines       jsonb[],
    p_finished    boolean DEFAULT false
) RETURNS TABLE (stored bigint, repeated bigint, last_position bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_chunk record;
    v_taken bigint;
BEGIN
    stored := 0;
    repeated := 0;
    IF cardinality(p_lines) > 0 THEN
        SELECT count(millrace.import_line_problem(l.line)) AS problems,
               array_agg(l.index::int ORDER BY l.index) AS requests,
               array_agg(f.event_type ORDER BY l.index) AS event_types,
               array_agg(f.aggregate_type ORDER BY l.index) AS aggregate_types,
               array_agg(f.aggregate_id ORDER BY l.index) AS aggregate_ids,
               array_agg(f.event_data ORDER BY l.index) AS event_data,
               CASE WHEN count(f.metadata) > 0 THEN array_agg(f.metadata ORDER BY l.index) END AS metadata,
               CASE WHEN count(f.event_id) > 0 THEN array_agg(f.event_id ORDER BY l.index) END AS event_ids,
               CASE WHEN count(f.occurred_at) > 0 THEN array_agg(f.occurred_at ORDER BY l.index) END AS occurred_at,
               CASE WHEN count(f.payload) > 0 THEN array_agg(f.payload ORDER BY l.index) END AS payloads,
               CASE WHEN count(f.content_type) > 0 THEN array_agg(f.content_type ORDER BY l.index) END AS content_types
        INTO v_chunk
        FROM unnest(p_lines) WITH ORDINALITY AS l (line, index)
        CROSS JOIN LATERAL millrace.import_fields(l.line) AS f;

        IF v_chunk.problems = 0 THEN
            SELECT count(*) FILTER (WHERE a.outcome = 'appended'), count(*) FILTER (WHERE a.outcome = 'duplicate'),
                   count(*) FILTER (WHERE a.outcome = 'partly_repeated'), max(a.positions[1])
            INTO stored, repeated, v_taken, last_position
            FROM millrace.append_events(
                v_chunk.requests, v_chunk.event_types, v_chunk.aggregate_types, v_chunk.aggregate_ids, v_chunk.event_data,
                v_chunk.metadata, v_chunk.event_ids, v_chunk.occurred_at, v_chunk.payloads, v_chunk.content_types
            ) AS a;
        END IF;
        IF v_chunk.problems > 0 OR v_taken > 0 THEN
            RAISE EXCEPTION USING
                ERRCODE = 'MR013',
                MESSAGE = format('%s of the lines up to line %s of import %s are refused',
                                 greatest(v_chunk.problems, v_taken), p_through, p_name),
                HINT = 'Nothing of this chunk is stored; check_import_lines says which lines, and why.';
        END IF;
    END IF;

    PERFORM millrace.record_import(p_name, p_resume_from, p_through, p_prefix_hash, stored, p_finished);
    RETURN NEXT;
END
$$;

REVOKE ALL ON FUNCTION millrace.import_lines(text, bigint, bigint, bytea, jsonb[], boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.import_lines(text, bigint, bigint, bytea, jsonb[], boolean)
    TO millrace_importer, millrace_admin;
