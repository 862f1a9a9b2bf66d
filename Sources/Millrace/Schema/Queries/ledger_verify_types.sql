SELECT s.ledgered_types
FROM millrace.store AS s
