-- What the parent cannot give its partitions: unique constraints (on the parent each would have to contain created_at) and
-- the triggers of statements, which are not inherited. Every partition passes through here before it is attached.
CREATE OR REPLACE FUNCTION millrace.guard_partition(p_partition text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
    EXECUTE format('ALTER TABLE millrace.%I ADD CONSTRAINT %I PRIMARY KEY (id)', p_partition, p_partition || '_pkey');
    EXECUTE format('ALTER TABLE millrace.%I ADD CONSTRAINT %I UNIQUE (event_id)',
                   p_partition, p_partition || '_event_id_key');
    EXECUTE format('ALTER TABLE millrace.%I ADD CONSTRAINT %I UNIQUE (aggregate_type, aggregate_id, version)',
                   p_partition, p_partition || '_stream_version_key');
    EXECUTE format('CREATE TRIGGER events_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON millrace.%I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION millrace.refuse_change()', p_partition);
    EXECUTE format('ALTER TABLE millrace.%I ENABLE ALWAYS TRIGGER events_never_change', p_partition);
END
$$;

REVOKE ALL ON FUNCTION millrace.guard_partition(text) FROM PUBLIC;
