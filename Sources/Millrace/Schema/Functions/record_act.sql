-- What somebody did to the store, as an event of a ledgered stream of its own: what, to whom, who, from where, why. Nothing where no ledger is kept.
-- millrace.actor is who acts through a program, where that says so.
--
-- No inline projection is written by it: it is not what services publish.
CREATE OR REPLACE FUNCTION millrace.record_act(p_act text, p_subject text, p_reason text, p_details jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_inline text := coalesce(current_setting('millrace.inline', true), '');
BEGIN
    IF NOT EXISTS (SELECT FROM millrace.ledger) THEN
        RETURN;
    END IF;
    PERFORM set_config('millrace.inline', concat_ws(',', nullif(v_inline, ''), string_agg(p.projection, ',')), true)
    FROM millrace.projections AS p;
    PERFORM millrace.publish_event(
        p_event_type => 'millrace.' || p_act, p_aggregate_type => 'millrace.administration', p_aggregate_id => 'acts',
        p_event_data => jsonb_strip_nulls(jsonb_build_object(
            'subject', p_subject, 'reason', p_reason, 'details', nullif(p_details, '{}'),
            'by', session_user, 'actor', nullif(current_setting('millrace.actor', true), ''),
            'address', host(inet_client_addr()), 'program', nullif(current_setting('application_name'), '')
        ))
    );
    PERFORM set_config('millrace.inline', v_inline, true);
END
$$;

REVOKE ALL ON FUNCTION millrace.record_act(text, text, text, jsonb) FROM PUBLIC;
