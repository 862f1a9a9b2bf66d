-- Takes a snapshot, which lives as long as its transaction.
SELECT count(*) FROM millrace.store
