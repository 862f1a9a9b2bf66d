-- Where a verification ends, and how far what is stored reaches. One statement, because a block comes with its leaves and nodes.
SELECT l.origin, b.number, b.tree_size, r.leaf_end,
       EXISTS (
           SELECT
           FROM generate_series(1, 7) AS v (level)
           JOIN millrace.ledger_nodes AS n
               ON n.level = v.level AND (n.index >= greatest(b.tree_size, r.leaf_end) >> (8 * v.level) OR n.index < 0)
       ) AS has_more_nodes
FROM millrace.ledger AS l
CROSS JOIN LATERAL (
    SELECT coalesce(max(k.number), 0) AS number, coalesce(max(k.tree_size), 0) AS tree_size
    FROM (SELECT c.number, c.tree_size FROM millrace.ledger_blocks AS c ORDER BY c.number DESC LIMIT 1) AS k
) AS b
CROSS JOIN LATERAL (
    SELECT coalesce(max(k.leaf_end), 0) AS leaf_end
    FROM (
        SELECT f.first_leaf + cardinality(f.positions) AS leaf_end
        FROM millrace.ledger_leaves AS f
        ORDER BY f.first_leaf DESC
        LIMIT 1
    ) AS k
) AS r
