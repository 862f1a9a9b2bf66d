-- The step of chain_hash: the hash of an event after that of the one before it; p_head is that of the stream's last one before them all.
CREATE OR REPLACE FUNCTION millrace.next_hash(p_hash bytea, p_head bytea, p_form bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE SECURITY INVOKER PARALLEL SAFE
AS $$
BEGIN
    RETURN pg_catalog.sha256(coalesce(p_hash, p_head) OPERATOR(pg_catalog.||) p_form);
END
$$;

REVOKE ALL ON FUNCTION millrace.next_hash(bytea, bytea, bytea) FROM PUBLIC;
