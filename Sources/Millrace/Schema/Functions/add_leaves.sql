-- A run of leaves of the block that begin_block began; at most 1024 at a call, each run where the one before it ended.
CREATE OR REPLACE FUNCTION millrace.add_leaves(
    p_first_leaf bigint, p_positions bigint[], p_leaf_hashes bytea, p_column_digests bytea
) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
AS $$
    INSERT INTO millrace.ledger_leaves (first_leaf, positions, leaf_hashes, column_digests)
    VALUES (p_first_leaf, p_positions, p_leaf_hashes, p_column_digests)
$$;

REVOKE ALL ON FUNCTION millrace.add_leaves(bigint, bigint[], bytea, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.add_leaves(bigint, bigint[], bytea, bytea) TO millrace_admin;
