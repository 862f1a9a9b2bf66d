-- The log. Partitioned by the month an event was stored in (UTC), so that old months can be dropped or moved whole.
--
-- CACHE 1: a session that hoarded positions would hand out old ones after newer ones were read. It starts at 0, drawn
-- here, so that "no last value" never means "no event yet" but always "you may not see the sequence".
-- Positions stay below 2^48: the fence packs one into the low bits of an advisory lock's key.
CREATE SEQUENCE millrace.events_id_seq AS bigint MINVALUE 0 MAXVALUE 281474976710655 START 0 CACHE 1 NO CYCLE;
SELECT nextval('millrace.events_id_seq');

CREATE TABLE millrace.events (
    id             bigint      NOT NULL DEFAULT nextval('millrace.events_id_seq'),
    event_id       uuid        NOT NULL,
    event_type     text        COLLATE "C" NOT NULL,
    aggregate_type text        COLLATE "C" NOT NULL,
    aggregate_id   text        COLLATE "C" NOT NULL,
    version        int         NOT NULL,
    event_data     jsonb       NOT NULL,
    metadata       jsonb,
    occurred_at    timestamptz NOT NULL,
    created_at     timestamptz NOT NULL,
    -- What is not JSON: its bytes and what they are; event_data is then JSON null.
    payload        bytea,
    content_type   text,
    -- The ledger's chain. Here from the first day because they cost nothing while NULL, and because every function that
    -- returns events, and every subscriber of the publication, would have to change for two more columns.
    previous_hash  bytea,
    current_hash   bytea
) PARTITION BY RANGE (created_at);

ALTER SEQUENCE millrace.events_id_seq OWNED BY millrace.events.id;

GRANT SELECT ON millrace.events TO millrace_consumer, millrace_admin;

-- Inserts only, and as if events were one table: a subscriber need not know the months.
CREATE PUBLICATION event_publication FOR TABLE millrace.events
    WITH (publish = 'insert', publish_via_partition_root = true);
