-- publish_event with an event id or an expected version: what append_events returns as an outcome is an error here, because
-- a function that returns an id has no other way to say it. Publishing the same id to the same stream again is none.
CREATE OR REPLACE FUNCTION millrace.publish_checked(
    p_event_type text, p_aggregate_id text, p_aggregate_type text, p_event_data jsonb, p_metadata jsonb,
    p_event_id uuid, p_expected_version int, p_occurred_at timestamptz
) RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_appended record;
    v_expected boolean := p_expected_version IS NOT NULL;
BEGIN
    SELECT a.* INTO STRICT v_appended
    FROM millrace.append_events(
        p_requests => '{1}', p_event_types => ARRAY[p_event_type], p_aggregate_types => ARRAY[p_aggregate_type],
        p_aggregate_ids => ARRAY[p_aggregate_id], p_event_data => ARRAY[p_event_data], p_metadata => ARRAY[p_metadata],
        p_event_ids => ARRAY[p_event_id], p_occurred_at => ARRAY[p_occurred_at],
        p_expect_requests => CASE WHEN v_expected THEN '{1}'::int[] END,
        p_expect_aggregate_types => CASE WHEN v_expected THEN ARRAY[p_aggregate_type] END,
        p_expect_aggregate_ids => CASE WHEN v_expected THEN ARRAY[p_aggregate_id] END,
        p_expect_versions => CASE WHEN v_expected THEN ARRAY[p_expected_version] END
    ) AS a;

    CASE v_appended.outcome
        WHEN 'appended' THEN
            PERFORM millrace.ring(v_appended.positions[1]);
        WHEN 'duplicate' THEN
            NULL;
        WHEN 'partly_repeated' THEN
            RAISE EXCEPTION USING
                ERRCODE = 'MR008',
                MESSAGE = format('the event id %s is taken by an event of another stream', p_event_id),
                HINT = 'Give every event an id of its own.';
        WHEN 'conflict' THEN
            RAISE EXCEPTION USING
                ERRCODE = 'MR010',
                MESSAGE = format('stream %s %s is at version %s, expected was %s', p_aggregate_type, p_aggregate_id,
                                 v_appended.conflicts -> 0 ->> 'actual', p_expected_version),
                HINT = 'Read the stream again, decide again, and publish with its new version.';
    END CASE;
    RETURN v_appended.event_ids[1];
END
$$;

REVOKE ALL ON FUNCTION millrace.publish_checked(text, text, text, jsonb, jsonb, uuid, int, timestamptz) FROM PUBLIC;
