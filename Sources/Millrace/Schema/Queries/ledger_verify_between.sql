-- Whether an event lies between two positions.
SELECT EXISTS (SELECT FROM millrace.events AS e WHERE e.id > $1 AND e.id < $2)
