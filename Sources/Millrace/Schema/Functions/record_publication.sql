-- How far a place outside has been told of the checkpoints, or that it could not be (p_error).
CREATE OR REPLACE FUNCTION millrace.record_publication(p_target text, p_block_number bigint, p_error text DEFAULT NULL) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
AS $$
    INSERT INTO millrace.ledger_publications AS p (target, block_number, published_at, failed_at, error)
    VALUES (p_target, CASE WHEN p_error IS NULL THEN p_block_number END, CASE WHEN p_error IS NULL THEN clock_timestamp() END,
            CASE WHEN p_error IS NOT NULL THEN clock_timestamp() END, p_error)
    ON CONFLICT ON CONSTRAINT ledger_publications_pkey DO UPDATE
        SET block_number = coalesce(excluded.block_number, p.block_number), published_at = coalesce(excluded.published_at, p.published_at),
            failed_at = coalesce(excluded.failed_at, p.failed_at), error = excluded.error
$$;

REVOKE ALL ON FUNCTION millrace.record_publication(text, bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.record_publication(text, bigint, text) TO millrace_admin;
