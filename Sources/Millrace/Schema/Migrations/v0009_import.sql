-- An importer COPYs into the log what begin_import_chunk has announced: the versions are given to the streams before the
-- events are there. So a transaction that announced a chunk must not commit before finish_import_chunk has counted it.
--
-- One row for the length of one transaction, never seen by another.
CREATE TABLE millrace.announced_chunks (
    transaction    xid8        NOT NULL DEFAULT pg_current_xact_id(),
    -- What the chunk's rows must add up to.
    events         bigint      NOT NULL,
    position_sum   numeric     NOT NULL,
    version_sum    bigint      NOT NULL,
    first_position bigint      NOT NULL,
    last_position  bigint      NOT NULL,
    stored_at      timestamptz NOT NULL,
    CONSTRAINT announced_chunks_pkey PRIMARY KEY (transaction)
);

CREATE FUNCTION millrace.refuse_unfinished_chunk() RETURNS trigger
LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM millrace.announced_chunks AS c WHERE c.transaction = NEW.transaction) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR014',
            MESSAGE = format('the transaction announced a chunk of %s events and did not finish it', NEW.events),
            HINT = 'COPY the events into millrace.events, then call finish_import_chunk, then commit.';
    END IF;
    RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION millrace.refuse_unfinished_chunk() FROM PUBLIC;

CREATE CONSTRAINT TRIGGER announced_chunks_are_finished
    AFTER INSERT ON millrace.announced_chunks
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION millrace.refuse_unfinished_chunk();
ALTER TABLE millrace.announced_chunks ENABLE ALWAYS TRIGGER announced_chunks_are_finished;

-- The one role that writes to the log without a function in between. Not the hashes of the ledger.
GRANT INSERT (
    id, event_id, event_type, aggregate_type, aggregate_id, version, event_data, metadata, occurred_at, created_at,
    payload, content_type
) ON millrace.events TO millrace_importer;
