-- Every table whose content never changes, with the triggers that keep it so: 'A' is ENABLE ALWAYS, 'O' stands aside in
-- replication, 'D' is disabled, NULL is missing. The bits of tgtype: 8 DELETE, 16 UPDATE, 32 TRUNCATE.
SELECT t.relation::text AS relation,
       t.operations,
       (SELECT g.tgenabled::text
        FROM pg_catalog.pg_trigger AS g
        WHERE g.tgrelid = t.relation AND g.tgfoid = 'millrace.refuse_change'::regproc AND g.tgtype & t.bits = t.bits
        ORDER BY g.tgenabled = 'A' DESC
        LIMIT 1) AS enabled,
       (SELECT g.tgname::text
        FROM pg_catalog.pg_trigger AS g
        WHERE g.tgrelid = t.relation AND g.tgfoid = 'millrace.refuse_change'::regproc AND g.tgtype & t.bits = t.bits
        ORDER BY g.tgenabled = 'A' DESC
        LIMIT 1) AS trigger
FROM (
    SELECT 'millrace.events'::regclass AS relation, 'UPDATE, DELETE and TRUNCATE' AS operations, 56 AS bits
    UNION ALL
    SELECT i.inhrelid::regclass, 'UPDATE, DELETE and TRUNCATE', 56
    FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = 'millrace.events'::regclass
    UNION ALL
    SELECT l.relation, 'UPDATE, DELETE and TRUNCATE', 56
    FROM unnest('{millrace.ledger_keys,millrace.ledger_blocks,millrace.ledger_leaves,millrace.ledger_nodes}'::regclass[]) AS l (relation)
    UNION ALL
    SELECT 'millrace.streams'::regclass, s.operation, s.bits
    FROM (VALUES ('UPDATE', 16), ('DELETE', 8), ('TRUNCATE', 32)) AS s (operation, bits)
) AS t
ORDER BY relation, operations
