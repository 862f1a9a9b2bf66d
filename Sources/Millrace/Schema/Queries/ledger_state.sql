-- What ledger_status says, its intervals in milliseconds.
SELECT s.origin, (extract(epoch FROM s.seal_interval) * 1000)::bigint AS seal_interval_ms, s.verifier_key, s.keys, s.ledgered_types,
       s.blocks, s.tree_size, s.root_hash, s.last_position, s.sealed_at, s.unsealed,
       (extract(epoch FROM s.unsealed_for) * 1000)::bigint AS unsealed_for_ms
FROM millrace.ledger_status($1) AS s
