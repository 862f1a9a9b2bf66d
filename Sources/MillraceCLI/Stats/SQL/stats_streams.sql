-- Streams in a sample of $1 percent of their table's blocks.
SELECT count(*) AS count FROM millrace.streams AS s TABLESAMPLE SYSTEM ($1::float8::real)
