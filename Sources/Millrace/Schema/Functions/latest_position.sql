-- The sequence's last value: the newest position that anyone has drawn, committed or not. A cheap hint for a poll, never a
-- position to keep: what was drawn may be rolled back, and after a crash the sequence may come back lower.
--
-- Definer, because the right to look at the sequence belongs to the owner alone.
CREATE OR REPLACE FUNCTION millrace.latest_position() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    RETURN coalesce(pg_catalog.pg_sequence_last_value('millrace.events_id_seq'::regclass), millrace.refuse_unseen_sequence());
END
$$;

REVOKE ALL ON FUNCTION millrace.latest_position() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.latest_position()
    TO millrace_publisher, millrace_consumer, millrace_importer, millrace_admin;
