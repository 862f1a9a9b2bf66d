-- Which of a handler's lanes a stream belongs to: the CRC-32C (RFC 3720, appendix B.4) of the UTF-8 of type, slash and id, scaled from
-- 32 bits to the number of lanes. Stable for ever and the same in Swift (LaneHash): a lane's checkpoint means nothing to other streams.
CREATE OR REPLACE FUNCTION millrace.lane_of(p_aggregate_type text, p_aggregate_id text, p_lanes int) RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SECURITY INVOKER
RETURN (pg_catalog.crc32c(pg_catalog.convert_to(pg_catalog.textcat(pg_catalog.textcat(p_aggregate_type, '/'), p_aggregate_id), 'UTF8'))
        OPERATOR(pg_catalog.*) p_lanes OPERATOR(pg_catalog.>>) 32)::int;

REVOKE ALL ON FUNCTION millrace.lane_of(text, text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.lane_of(text, text, int)
    TO millrace_publisher, millrace_consumer, millrace_importer, millrace_admin;
