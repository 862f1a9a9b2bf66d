-- What is stored in Millrace's log and in the twin.
SELECT (SELECT count(*) FROM millrace.events) AS log, (SELECT count(*) FROM bench.events) AS twin
