-- The smallest UUIDv7 (RFC 9562, section 5.7) that tells this time: ids compare as bytes, and begin with the milliseconds.
CREATE OR REPLACE FUNCTION millrace.lowest_uuid(p_time timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE SECURITY INVOKER
AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM p_time) * 1000)::bigint), 12, '0') || '70000000000000000000')::uuid
$$;

REVOKE ALL ON FUNCTION millrace.lowest_uuid(timestamptz) FROM PUBLIC;
