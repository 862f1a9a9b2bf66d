-- What an aggregate's state was after some version of its stream: a cache, so that a load need not read the stream from its beginning.
-- Every row can be deleted at any time; what is lost is time.
--
-- The state is the text that its writer gave: json and not jsonb, which refuses \u0000 and has its own idea of numbers. Deciders of
-- one aggregate type have snapshots of their own, and each shape of a state has, so that two releases that run at once do not take each
-- other's.
CREATE TABLE millrace.snapshots (
    aggregate_type text        COLLATE "C" NOT NULL,
    aggregate_id   text        COLLATE "C" NOT NULL,
    decider        text        COLLATE "C" NOT NULL,
    shape          int         NOT NULL,
    -- Of the last event that is in the state.
    version        int         NOT NULL,
    state          json        NOT NULL,
    taken_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT snapshots_pkey PRIMARY KEY (aggregate_type, aggregate_id, decider, shape),
    CONSTRAINT snapshots_shape_is_not_negative CHECK (shape >= 0),
    CONSTRAINT snapshots_are_of_some_event CHECK (version > 0)
) WITH (fillfactor = 80);

GRANT SELECT ON millrace.snapshots TO millrace_consumer, millrace_admin;
