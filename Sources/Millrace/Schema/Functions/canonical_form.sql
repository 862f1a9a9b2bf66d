-- The bytes of an event that its hashes are made of: docs/ledger-format.md. The JSON comes as text, because it is needed twice.
-- Independent of any setting of the session, in a database whose encoding is UTF8 (no other may keep a ledger).
--
-- One expression, which becomes part of the query that it is called in.
CREATE OR REPLACE FUNCTION millrace.canonical_form(
    p_id bigint, p_event_id uuid, p_event_type text, p_aggregate_type text, p_aggregate_id text, p_version int,
    p_event_data text, p_metadata text, p_occurred_at timestamptz, p_created_at timestamptz, p_payload bytea, p_content_type text
) RETURNS bytea
LANGUAGE sql STABLE SECURITY INVOKER
AS $$
    SELECT '\x01'::bytea || int8send(p_id) || uuid_send(p_event_id)
        || int4send(octet_length(p_event_type)) || convert_to(p_event_type, 'UTF8')
        || int4send(octet_length(p_aggregate_type)) || convert_to(p_aggregate_type, 'UTF8')
        || int4send(octet_length(p_aggregate_id)) || convert_to(p_aggregate_id, 'UTF8')
        || int4send(p_version)
        || int4send(octet_length(p_event_data)) || convert_to(p_event_data, 'UTF8')
        || coalesce('\x01'::bytea || int4send(octet_length(p_metadata)) || convert_to(p_metadata, 'UTF8'), '\x00'::bytea)
        || timestamptz_send(p_occurred_at) || timestamptz_send(p_created_at)
        || coalesce('\x01'::bytea || int4send(octet_length(p_payload)) || p_payload, '\x00'::bytea)
        || coalesce('\x01'::bytea || int4send(octet_length(p_content_type)) || convert_to(p_content_type, 'UTF8'), '\x00'::bytea)
$$;

REVOKE ALL ON FUNCTION millrace.canonical_form(
    bigint, uuid, text, text, text, int, text, text, timestamptz, timestamptz, bytea, text
) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.canonical_form(
    bigint, uuid, text, text, text, int, text, text, timestamptz, timestamptz, bytea, text
) TO millrace_consumer, millrace_admin;
