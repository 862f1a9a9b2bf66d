-- Chains one event of a ledgered stream, whose row the caller has locked and advanced to p_version: draws its position, and its id where it has none,
-- computes its hashes, and leaves the stream's head there. The caller stores exactly that, or raises.
CREATE OR REPLACE FUNCTION millrace.chain_event(
    p_event_id uuid, p_event_type text, p_aggregate_type text, p_aggregate_id text, p_version int, p_event_data jsonb, p_metadata jsonb,
    p_occurred_at timestamptz, p_stored_at timestamptz, p_payload bytea, p_content_type text
) RETURNS millrace.chain_link
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_link millrace.chain_link;
    v_data text := p_event_data::text;
    v_meta text := p_metadata::text;
BEGIN
    v_link.position := nextval('millrace.events_id_seq');
    v_link.event_id := coalesce(p_event_id, uuidv7());
    SELECT coalesce(s.head_hash, decode(repeat('00', 32), 'hex')) INTO STRICT v_link.previous_hash
    FROM millrace.streams AS s
    WHERE s.aggregate_type = p_aggregate_type AND s.aggregate_id = p_aggregate_id;
    v_link.current_hash := sha256(v_link.previous_hash || millrace.canonical_form(
        v_link.position, v_link.event_id, p_event_type, p_aggregate_type, p_aggregate_id, p_version, v_data, v_meta,
        coalesce(p_occurred_at, p_stored_at), p_stored_at, p_payload, p_content_type
    ));
    UPDATE millrace.streams AS s
    SET head_hash = v_link.current_hash
    WHERE s.aggregate_type = p_aggregate_type AND s.aggregate_id = p_aggregate_id;
    RETURN v_link;
END
$$;

REVOKE ALL ON FUNCTION millrace.chain_event(
    uuid, text, text, text, int, jsonb, jsonb, timestamptz, timestamptz, bytea, text
) FROM PUBLIC;
