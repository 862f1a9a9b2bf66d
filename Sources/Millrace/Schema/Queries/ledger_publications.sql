SELECT p.target, p.block_number, p.published_at, p.failed_at, p.error
FROM millrace.ledger_publications AS p
ORDER BY p.target
