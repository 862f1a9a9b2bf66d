-- What is stored stays as it was stored: refused here at the door, for everyone including the owner, short of DDL.
-- ENABLE ALWAYS, because session_replication_role = replica switches ordinary triggers off. The function lives in a
-- migration and not among the re-creatable ones because tables depend on it from the start.
CREATE FUNCTION millrace.refuse_change() RETURNS trigger
LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'MR007',
        MESSAGE = format('%s on %I.%I is refused: what is stored in it never changes',
                         TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME),
        HINT = 'Append an event that corrects the earlier one.';
END
$$;

REVOKE ALL ON FUNCTION millrace.refuse_change() FROM PUBLIC;

-- A statement's trigger and not a row's: it refuses before looking for rows, and costs an INSERT nothing. Not inherited by
-- partitions; guard_partition gives each its own.
CREATE TRIGGER events_never_change
    BEFORE UPDATE OR DELETE OR TRUNCATE ON millrace.events
    FOR EACH STATEMENT EXECUTE FUNCTION millrace.refuse_change();
ALTER TABLE millrace.events ENABLE ALWAYS TRIGGER events_never_change;

CREATE TRIGGER streams_are_never_emptied
    BEFORE TRUNCATE ON millrace.streams
    FOR EACH STATEMENT EXECUTE FUNCTION millrace.refuse_change();
ALTER TABLE millrace.streams ENABLE ALWAYS TRIGGER streams_are_never_emptied;

-- A row of version 0 is a lock, not a stream (see the table), so it may go.
CREATE TRIGGER streams_never_disappear
    BEFORE DELETE ON millrace.streams
    FOR EACH ROW WHEN (OLD.version > 0) EXECUTE FUNCTION millrace.refuse_change();
ALTER TABLE millrace.streams ENABLE ALWAYS TRIGGER streams_never_disappear;

-- A stream only grows: its version rises, and the span of time its events were stored in gets wider, never narrower (a
-- reader looks for them nowhere else). The condition is evaluated without calling the function.
CREATE TRIGGER streams_only_grow
    BEFORE UPDATE ON millrace.streams
    FOR EACH ROW WHEN (
        NEW.version < OLD.version
        OR NEW.version = OLD.version AND NEW.last_event_at <= OLD.last_event_at
        OR NEW.first_event_at > OLD.first_event_at
        OR NEW.last_event_at < OLD.last_event_at
        OR NEW.aggregate_type <> OLD.aggregate_type
        OR NEW.aggregate_id <> OLD.aggregate_id
    ) EXECUTE FUNCTION millrace.refuse_change();
ALTER TABLE millrace.streams ENABLE ALWAYS TRIGGER streams_only_grow;
