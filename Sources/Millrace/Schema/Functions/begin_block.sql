-- The first step of a block: takes the place of the only sealer until the end of the transaction, and says after which block it comes. outcome: begun; or busy,
-- where another one seals. Then, in this transaction: read the events after last_position, add_leaves and add_nodes, add_block.
CREATE OR REPLACE FUNCTION millrace.begin_block(
    OUT outcome text, OUT origin text, OUT seal_interval_ms bigint, OUT key_number int, OUT verifier_key text,
    OUT number bigint, OUT block_hash bytea, OUT tree_size bigint, OUT root_hash bytea, OUT last_position bigint
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_ledger millrace.ledger := millrace.require_ledger();
BEGIN
    PERFORM millrace.check_isolation();
    origin := v_ledger.origin;
    seal_interval_ms := extract(epoch FROM v_ledger.seal_interval) * 1000;
    -- The class after that of close_months.
    outcome := CASE WHEN pg_try_advisory_xact_lock(x'4D55'::bigint << 48) THEN 'begun' ELSE 'busy' END;
    SELECT k.key_number, k.verifier_key INTO STRICT key_number, verifier_key
    FROM millrace.ledger_keys AS k ORDER BY k.key_number DESC LIMIT 1;
    SELECT b.number, b.block_hash, b.tree_size, b.root_hash, b.last_position
    INTO number, block_hash, tree_size, root_hash, last_position
    FROM millrace.ledger_blocks AS b ORDER BY b.number DESC LIMIT 1;
    IF NOT FOUND THEN
        number := 0;
        block_hash := decode(repeat('00', 32), 'hex');
        tree_size := 0;
        root_hash := sha256('');
        last_position := 0;
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.begin_block() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.begin_block() TO millrace_admin;
