-- The one row that every append reads: who this store is, from when on the open month lasts, and the limits.
-- A table and not settings (GUCs), because anyone may SET a custom setting for himself, and a limit that its subject
-- can lift is none. One row, so that an append reads everything it needs in one look.
CREATE TABLE millrace.store (
    only_row         boolean     NOT NULL DEFAULT true,
    -- Changes after a promotion or a restore: positions of another epoch mean other events.
    epoch            uuid        NOT NULL DEFAULT uuidv7(),
    -- Nothing is stored before this moment any more, whatever the clock says: months that end before it are closed.
    open_since       timestamptz NOT NULL DEFAULT '-infinity',
    -- event_data, metadata and payload together, as the server holds them before compression.
    max_event_bytes  int         NOT NULL DEFAULT 1048576,
    -- One call of append_events.
    max_batch_events int         NOT NULL DEFAULT 10000,
    max_batch_bytes  int         NOT NULL DEFAULT 67108864,
    CONSTRAINT store_pkey PRIMARY KEY (only_row),
    CONSTRAINT store_has_one_row CHECK (only_row),
    CONSTRAINT store_limits_are_positive CHECK (max_event_bytes > 0 AND max_batch_events > 0 AND max_batch_bytes > 0)
);

INSERT INTO millrace.store (only_row) VALUES (true);

GRANT SELECT ON millrace.store TO millrace_publisher, millrace_consumer, millrace_importer, millrace_admin;
