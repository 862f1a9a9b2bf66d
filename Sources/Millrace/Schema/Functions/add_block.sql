-- The last step of a block. It is refused where it does not follow the last one, where the leaves that were added do not fill it, where it reaches beyond the
-- horizon, or where its hash is not that of its header; the signature is the sealer's to make, and the verifier's to check. The time as
-- microseconds since 2000-01-01 00:00:00 UTC, as it was hashed.
CREATE OR REPLACE FUNCTION millrace.add_block(
    p_number bigint, p_first_position bigint, p_last_position bigint, p_tree_size bigint, p_root_hash bytea,
    p_sealed_at bigint, p_block_hash bytea, p_key_number int, p_signature bytea
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_last   record := millrace.begin_block();
    v_leaves bigint;
    v_first  bigint;
    v_end    bigint;
BEGIN
    SELECT sum(cardinality(l.positions)), min(l.positions[1]), max(l.positions[cardinality(l.positions)])
    INTO v_leaves, v_first, v_end
    FROM millrace.ledger_leaves AS l
    WHERE l.first_leaf >= v_last.tree_size;
    IF (v_last.outcome = 'begun' AND p_number = v_last.number + 1 AND p_key_number = v_last.key_number
        AND v_leaves = p_tree_size - v_last.tree_size AND v_first = p_first_position AND v_end = p_last_position
        AND p_first_position > v_last.last_position AND p_last_position <= millrace.horizon()
        AND octet_length(p_root_hash) = 32 AND octet_length(p_signature) = 64
        AND p_block_hash = sha256(
            '\x01'::bytea || int8send(p_number) || v_last.block_hash || int8send(p_first_position) || int8send(p_last_position)
            || int8send(p_tree_size) || p_root_hash || int8send(p_sealed_at)
        )) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR028',
            MESSAGE = format('block %s does not follow block %s: tree size %s after %s with %s leaves added, positions %s to %s after %s',
                             p_number, v_last.number, p_tree_size, v_last.tree_size, coalesce(v_leaves, 0),
                             p_first_position, p_last_position, v_last.last_position),
            HINT = 'Seal with begin_block, add_leaves, add_nodes and add_block in one transaction, with the ledger''s newest key.';
    END IF;
    INSERT INTO millrace.ledger_blocks (
        number, previous_hash, block_hash, first_position, last_position, first_leaf, tree_size, root_hash, sealed_at, key_number, signature
    ) VALUES (
        p_number, v_last.block_hash, p_block_hash, p_first_position, p_last_position, v_last.tree_size, p_tree_size, p_root_hash,
        timestamptz '2000-01-01 00:00:00+00' + p_sealed_at * interval '1 microsecond', p_key_number, p_signature
    );
END
$$;

REVOKE ALL ON FUNCTION millrace.add_block(bigint, bigint, bigint, bigint, bytea, bigint, bytea, int, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.add_block(bigint, bigint, bigint, bigint, bytea, bigint, bytea, int, bytea) TO millrace_admin;
