-- Destroys the keys of a subject and the snapshots of its streams, which hold what the keys had opened, and records the act: all of it or nothing.
-- Repeated, it does what is left to do.
--
-- p_key_ids: the keys that were kept elsewhere and have been destroyed there already. p_details: what else is to be recorded.
CREATE OR REPLACE FUNCTION millrace.forget_subject(
    p_subject text, p_reason text, p_key_ids uuid[] DEFAULT '{}', p_details jsonb DEFAULT NULL
) RETURNS TABLE (forgotten_at timestamptz, key_ids uuid[], streams bigint, snapshots bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_time      timestamptz := clock_timestamp();
    v_keys      uuid[];
    v_streams   bigint;
    v_snapshots bigint;
BEGIN
    PERFORM millrace.check_subject(p_subject, p_reason);
    v_keys := millrace.destroy_subject_keys(p_subject);
    SELECT coalesce(array_agg(DISTINCT k.key_id ORDER BY k.key_id), '{}') INTO v_keys
    FROM unnest(v_keys || coalesce(p_key_ids, '{}')) AS k(key_id);

    -- Waits for streams that are being noted, and for snapshots that are being saved (save_personal_snapshot).
    LOCK TABLE millrace.subject_streams IN SHARE ROW EXCLUSIVE MODE;
    UPDATE millrace.subject_streams AS s SET forgotten_at = clock_timestamp() WHERE s.subject = p_subject;
    GET DIAGNOSTICS v_streams = ROW_COUNT;
    IF v_keys = '{}' AND v_streams = 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR029',
            MESSAGE = format('there is no subject “%s”: no key was ever made for it', p_subject),
            HINT = 'A subject is written as the events have it, such as customer/c-7. Nothing was forgotten.';
    END IF;
    DELETE FROM millrace.snapshots AS n
    USING millrace.subject_streams AS s
    WHERE s.subject = p_subject AND n.aggregate_type = s.aggregate_type AND n.aggregate_id = s.aggregate_id;
    GET DIAGNOSTICS v_snapshots = ROW_COUNT;

    PERFORM millrace.record_act(
        'subject_forgotten', p_subject, p_reason,
        coalesce(p_details, '{}') || jsonb_build_object('key_ids', v_keys, 'streams', v_streams, 'snapshots_discarded', v_snapshots)
    );
    RETURN QUERY SELECT v_time, v_keys, v_streams, v_snapshots;
END
$$;

REVOKE ALL ON FUNCTION millrace.forget_subject(text, text, uuid[], jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.forget_subject(text, text, uuid[], jsonb) TO millrace_admin;
