-- The subtrees that became complete with the block's leaves.
CREATE OR REPLACE FUNCTION millrace.add_nodes(p_levels int[], p_indexes bigint[], p_hashes bytea[]) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
AS $$
    INSERT INTO millrace.ledger_nodes (level, index, hash)
    SELECT n.level, n.index, n.hash FROM unnest(p_levels, p_indexes, p_hashes) AS n (level, index, hash)
$$;

REVOKE ALL ON FUNCTION millrace.add_nodes(int[], bigint[], bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.add_nodes(int[], bigint[], bytea[]) TO millrace_admin;
