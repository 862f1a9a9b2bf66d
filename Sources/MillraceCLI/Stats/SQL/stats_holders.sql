-- Who holds the horizon back.
SELECT h.fence, h.positions_behind, h.pid, h.gid, h.owner, h.application_name, h.state,
       extract(epoch FROM h.age)::float8 AS seconds, h.query, h.settle_with
FROM millrace.horizon_holders AS h
ORDER BY h.fence, h.pid
LIMIT $1
