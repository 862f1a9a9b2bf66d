-- The imports that moved last.
SELECT i.name, i.lines, i.events_stored, i.updated_at, i.finished_at
FROM millrace.imports AS i
ORDER BY i.updated_at DESC, i.name
LIMIT $1
