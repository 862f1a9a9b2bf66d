-- Who this store is. A position kept outside of the database is kept with the epoch: in another one it means other events.
CREATE OR REPLACE FUNCTION millrace.store_info()
RETURNS TABLE (epoch uuid, schema_version int, max_event_bytes int, max_batch_events int, max_batch_bytes int)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT s.epoch, (SELECT max(m.version) FROM millrace.schema_migrations AS m),
           s.max_event_bytes, s.max_batch_events, s.max_batch_bytes
    FROM millrace.store AS s;
END
$$;

REVOKE ALL ON FUNCTION millrace.store_info() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.store_info()
    TO millrace_publisher, millrace_consumer, millrace_importer, millrace_admin;
