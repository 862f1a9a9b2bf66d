-- What is true after a run, by the events as they are stored: nothing here goes through the code that it checks.
WITH movements AS (
    SELECT e.aggregate_id AS account, e.version, e.event_type, e.event_data ->> 'transfer' AS transfer,
           CASE e.event_type WHEN 'account.debited' THEN -1 ELSE 1 END * coalesce((e.event_data ->> 'cents')::bigint, 0) AS cents
    FROM millrace.events AS e
    WHERE e.aggregate_type = 'account'
), balances_then AS (
    SELECT m.account, m.version, m.event_type, m.cents, sum(m.cents) OVER (PARTITION BY m.account ORDER BY m.version) AS balance
    FROM movements AS m
), money AS (
    SELECT (SELECT sum(b.cents) FROM balances AS b) AS held, sum(m.cents) AS by_events,
           sum(m.cents) FILTER (WHERE m.event_type = 'account.paid_in') AS paid_in
    FROM movements AS m
), lowest AS (
    SELECT min(b.balance) AS balance, count(*) AS n FROM balances_then AS b
), transfers AS (
    SELECT t.aggregate_id AS id,
           count(*) FILTER (WHERE t.event_type = 'transfer.completed') AS completed,
           count(*) FILTER (WHERE t.event_type = 'transfer.failed') AS failed,
           count(*) FILTER (WHERE t.event_type = 'transfer.refunded') AS refunded
    FROM millrace.events AS t
    WHERE t.aggregate_type = 'transfer'
    GROUP BY t.aggregate_id
), ends AS (
    SELECT count(*) AS n, sum(t.completed) AS completed, sum(t.failed) AS failed, sum(t.refunded) AS refunded,
           count(*) FILTER (WHERE t.completed + t.failed = 0) AS open, count(*) FILTER (WHERE t.completed + t.failed > 1) AS twice
    FROM transfers AS t
), sides AS (
    SELECT t.id, t.completed, t.refunded,
           count(m.account) FILTER (WHERE m.event_type = 'account.debited') AS debits,
           count(m.account) FILTER (WHERE m.event_type = 'account.credited') AS credits,
           count(m.account) FILTER (WHERE m.event_type = 'account.refunded') AS refunds,
           coalesce(sum(m.cents), 0) AS left_over
    FROM transfers AS t
    LEFT JOIN movements AS m ON m.transfer = t.id
    GROUP BY t.id, t.completed, t.refunded
), torn AS (
    SELECT count(*) FILTER (
        WHERE s.left_over <> 0 OR s.credits <> s.completed OR s.refunds <> s.refunded OR s.debits <> s.credits + s.refunds
    ) AS n
    FROM sides AS s
), lines AS (
    SELECT count(*) AS n, count(*) FILTER (WHERE (b.account, b.cents, b.balance) IS DISTINCT FROM (l.account, l.cents, l.balance)) AS wrong
    FROM (SELECT t.account, t.version, t.cents, t.balance FROM balances_then AS t WHERE t.cents <> 0) AS b
    FULL JOIN statement_lines AS l ON l.account = b.account AND l.line = b.version
), snapshots AS (
    SELECT count(*) AS n, count(*) FILTER (WHERE (s.state ->> 'balance')::numeric IS DISTINCT FROM b.balance) AS wrong
    FROM millrace.snapshots AS s
    LEFT JOIN balances_then AS b ON b.account = s.aggregate_id AND b.version = s.version
    WHERE s.aggregate_type = 'account'
)
SELECT 1 AS number, 'what the accounts hold is what was paid in' AS claim,
       format('%s cents of %s', held, paid_in) AS detail, held = paid_in AND by_events = paid_in AS holds
FROM money
UNION ALL
SELECT 2, 'no balance was ever below zero', format('lowest %s, over %s events', balance, n), balance >= 0 FROM lowest
UNION ALL
SELECT 3, 'each transfer ended, once', format('%s of %s completed, %s failed, %s open, %s twice', completed, n, failed, open, twice),
       open = 0 AND twice = 0 AND completed > 0
FROM ends
UNION ALL
SELECT 4, 'what a closed account refused went back', format('%s refunds', refunded), refunded > 0 FROM ends
UNION ALL
SELECT 5, 'no transfer took or gave but one side of it', format('%s torn', n), n = 0 FROM torn
UNION ALL
SELECT 6, 'every line of every statement is right', format('%s lines, %s wrong', n, wrong), wrong = 0 AND n > 0 FROM lines
UNION ALL
SELECT 7, 'every snapshot is what the events before it add up to', format('%s snapshots, %s wrong', n, wrong), wrong = 0 AND n > 0
FROM snapshots
ORDER BY number
