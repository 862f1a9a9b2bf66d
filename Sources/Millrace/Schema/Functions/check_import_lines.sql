-- Which of these lines import_lines refuses, and why: one row each, in order. Stores nothing. Text as bytes, because it
-- need be neither UTF-8 nor JSON.
CREATE OR REPLACE FUNCTION millrace.check_import_lines(p_lines bytea[]) RETURNS TABLE (index int, reason text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_ids    jsonb := '{}';
    v_line   jsonb;
    v_new    record;
    v_owner  jsonb;
    v_detail text;
BEGIN
    FOR v_index IN 1 .. coalesce(cardinality(p_lines), 0) LOOP
        index := v_index;
        BEGIN
            v_line := convert_from(p_lines[index], 'UTF8')::jsonb;
            reason := millrace.import_line_problem(v_line);
            IF reason IS NULL THEN
                SELECT f.* INTO STRICT v_new FROM millrace.import_fields(v_line) AS f;
                PERFORM millrace.check_batch(
                    '{1}', ARRAY[v_new.event_type], ARRAY[v_new.aggregate_type], ARRAY[v_new.aggregate_id],
                    ARRAY[v_new.event_data], ARRAY[v_new.metadata], ARRAY[v_new.event_id], ARRAY[v_new.occurred_at],
                    ARRAY[v_new.payload], ARRAY[v_new.content_type], NULL, NULL, NULL, NULL
                );
                IF v_new.event_id IS NOT NULL THEN
                    -- Taken by a stored event, or by an earlier one of these lines.
                    SELECT jsonb_build_array(e.aggregate_type, e.aggregate_id) INTO v_owner
                    FROM millrace.find_events(ARRAY[v_new.event_id]) AS e
                    LIMIT 1;
                    v_owner := coalesce(v_owner, v_ids -> v_new.event_id::text,
                                        jsonb_build_array(v_new.aggregate_type, v_new.aggregate_id));
                    IF v_owner <> jsonb_build_array(v_new.aggregate_type, v_new.aggregate_id) THEN
                        reason := format('the event id %s is taken by an event of stream %s/%s',
                                         v_new.event_id, v_owner ->> 0, v_owner ->> 1);
                    ELSE
                        v_ids := v_ids || jsonb_build_object(v_new.event_id, v_owner);
                    END IF;
                END IF;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            -- Each line is a batch of one to check_batch: what it says about event 1 it says about this line.
            GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL;
            reason := replace(SQLERRM, ' of event 1', '') || coalesce(': ' || rtrim(left(nullif(v_detail, ''), 200), '.'), '');
        END;
        IF reason IS NOT NULL THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION millrace.check_import_lines(bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.check_import_lines(bytea[]) TO millrace_importer, millrace_admin;
