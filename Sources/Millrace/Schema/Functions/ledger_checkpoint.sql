-- The signed checkpoint of a block, of the last one where none is named: docs/ledger-format.md. NULL where there is no such block.
CREATE OR REPLACE FUNCTION millrace.ledger_checkpoint(p_number bigint DEFAULT NULL) RETURNS text
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT format(E'%s\n%s\n%s\nblock %s %s\n\n\u2014 %s %s\n', l.origin, b.tree_size, encode(b.root_hash, 'base64'), b.number,
                      encode(b.block_hash, 'base64'), l.origin,
                      replace(encode(decode(substr(k.verifier_key, length(l.origin) + 2, 8), 'hex') || b.signature, 'base64'), E'\n', ''))
        FROM millrace.ledger_blocks AS b
        JOIN millrace.ledger_keys AS k ON k.key_number = b.key_number
        CROSS JOIN millrace.ledger AS l
        WHERE p_number IS NULL OR b.number = p_number
        ORDER BY b.number DESC
        LIMIT 1
    );
END
$$;

REVOKE ALL ON FUNCTION millrace.ledger_checkpoint(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.ledger_checkpoint(bigint) TO millrace_consumer, millrace_admin;
