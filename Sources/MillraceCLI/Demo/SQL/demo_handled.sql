-- What each consumer was given in a run, in the order in which it handled it. $1 run.
-- Out of order: an event that was handled after a later one of its stream. Repeated: a delivery beyond the first.
SELECT d.consumer,
       count(*) AS handled,
       count(*) - count(DISTINCT d.position) AS repeated,
       count(*) FILTER (WHERE d.version <= d.previous_version) AS out_of_order
FROM (
    SELECT h.consumer, h.position, h.version,
           lag(h.version) OVER (
               PARTITION BY h.consumer, h.aggregate_type, h.aggregate_id ORDER BY h.handling
           ) AS previous_version
    FROM millrace_demo.handled AS h
    WHERE h.run = $1
) AS d
GROUP BY d.consumer
