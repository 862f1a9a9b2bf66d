-- Where a verification ends, and whether anything is stored behind it. One statement, because a block comes with its leaves and nodes.
SELECT l.origin, b.number, b.tree_size, b.last_position,
       EXISTS (SELECT FROM millrace.ledger_leaves AS r WHERE r.first_leaf >= b.tree_size OR r.first_leaf < 0) AS has_more_leaves,
       EXISTS (
           SELECT
           FROM generate_series(1, 7) AS v (level)
           JOIN millrace.ledger_nodes AS n
               ON n.level = v.level AND (n.index >= b.tree_size >> (8 * v.level) OR n.index < 0)
       ) AS has_more_nodes
FROM millrace.ledger AS l
CROSS JOIN LATERAL (
    SELECT coalesce(max(k.number), 0) AS number, coalesce(max(k.tree_size), 0) AS tree_size,
           coalesce(max(k.last_position), 0) AS last_position
    FROM (
        SELECT c.number, c.tree_size, c.last_position FROM millrace.ledger_blocks AS c ORDER BY c.number DESC LIMIT 1
    ) AS k
) AS b
