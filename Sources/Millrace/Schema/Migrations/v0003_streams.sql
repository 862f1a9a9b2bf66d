-- One row a stream: its lock is the concurrency control and its version the source of the next one. MAX(version) + 1 would
-- be a race, and a unique constraint over all months of events cannot be declared (it would have to contain created_at).
--
-- A row of version 0 exists only inside a transaction: it is how a stream that does not exist yet is locked, and whoever
-- made it either raises it to 1 or deletes it before the call ends. To others the uncommitted row is a lock until the
-- transaction ends, deleted or not.
--
-- Collation "C": names are compared, never sorted for people, and an index that outlives an upgrade of the operating
-- system's locales is worth more. Room on each page keeps the updates of a version on their page (HOT).
CREATE TABLE millrace.streams (
    aggregate_type text        COLLATE "C" NOT NULL,
    aggregate_id   text        COLLATE "C" NOT NULL,
    version        int         NOT NULL,
    -- When the stream's earliest and latest events were stored: the months a reader of this stream has to open.
    first_event_at timestamptz,
    last_event_at  timestamptz,
    CONSTRAINT streams_pkey PRIMARY KEY (aggregate_type, aggregate_id),
    CONSTRAINT streams_version_is_not_negative CHECK (version >= 0)
) WITH (fillfactor = 80);

GRANT SELECT ON millrace.streams TO millrace_consumer, millrace_admin;
