-- One row of what an operator wants to know; none where no ledger is kept. Unsealed events are counted up to p_limit, and unsealed_for is the age of the
-- oldest of them below the horizon.
CREATE OR REPLACE FUNCTION millrace.ledger_status(p_limit int DEFAULT 100000) RETURNS TABLE (
    origin text, seal_interval interval, verifier_key text, keys int, ledgered_types text[], blocks bigint, tree_size bigint, root_hash bytea,
    last_position bigint, sealed_at timestamptz, unsealed bigint, unsealed_for interval
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_ledger millrace.ledger;
    v_block  millrace.ledger_blocks;
    v_bounds record;
BEGIN
    SELECT l.* INTO v_ledger FROM millrace.ledger AS l;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT b.* INTO v_block FROM millrace.ledger_blocks AS b ORDER BY b.number DESC LIMIT 1;
    SELECT b.* INTO STRICT v_bounds FROM millrace.page_bounds(coalesce(v_block.last_position, 0)) AS b;
    RETURN QUERY
    SELECT v_ledger.origin, v_ledger.seal_interval,
           (SELECT k.verifier_key FROM millrace.ledger_keys AS k ORDER BY k.key_number DESC LIMIT 1),
           (SELECT count(*)::int FROM millrace.ledger_keys AS k),
           (SELECT s.ledgered_types FROM millrace.store AS s),
           coalesce(v_block.number, 0), coalesce(v_block.tree_size, 0), v_block.root_hash, coalesce(v_block.last_position, 0),
           v_block.sealed_at, count(*), clock_timestamp() - min(u.created_at)
    FROM (
        SELECT e.created_at
        FROM millrace.events AS e
        WHERE e.id > coalesce(v_block.last_position, 0) AND e.id <= v_bounds.horizon
          AND e.created_at >= v_bounds.stored_from
        ORDER BY e.id
        LIMIT p_limit
    ) AS u;
END
$$;

REVOKE ALL ON FUNCTION millrace.ledger_status(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.ledger_status(int) TO millrace_consumer, millrace_admin;
