SELECT k.key_number, k.verifier_key, k.endorsement, k.created_at
FROM millrace.ledger_keys AS k
ORDER BY k.key_number
