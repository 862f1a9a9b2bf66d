-- How many positions a session hoards.
SELECT s.seqcache AS cache FROM pg_catalog.pg_sequence AS s WHERE s.seqrelid = 'millrace.events_id_seq'::regclass
