-- How the state of an aggregate is made of its events, where that is not the merging of their objects: a user's function, one a type.
CREATE TABLE millrace.aggregate_reducers (
    aggregate_type text        COLLATE "C" NOT NULL,
    -- Schema and name, quoted where they must be.
    function       text        NOT NULL,
    -- The state before the first event; NULL: none.
    initial        jsonb,
    registered_by  text        NOT NULL DEFAULT session_user,
    registered_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT aggregate_reducers_pkey PRIMARY KEY (aggregate_type)
);

-- What old events mean now: a user's function for each type and version of its schema. What is stored never changes.
CREATE TABLE millrace.event_upcasters (
    event_type     text        COLLATE "C" NOT NULL,
    -- NULL: every version that has no upcaster of its own.
    schema_version int,
    function       text        NOT NULL,
    -- The types it makes of the event: which stored types can become a type is known without running anything.
    into_types     text[]      COLLATE "C" NOT NULL,
    registered_by  text        NOT NULL DEFAULT session_user,
    registered_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT event_upcasters_key UNIQUE NULLS NOT DISTINCT (event_type, schema_version),
    CONSTRAINT event_upcasters_version_is_positive CHECK (schema_version > 0),
    CONSTRAINT event_upcasters_come_to_an_end CHECK (schema_version IS NOT NULL OR event_type <> ALL (into_types))
);

-- The types that a function was registered for, while event_types says which stored ones can become these. NULL: what is stored of them.
ALTER TABLE millrace.event_handlers ADD COLUMN current_types text[] COLLATE "C";

GRANT SELECT ON millrace.aggregate_reducers, millrace.event_upcasters TO millrace_publisher, millrace_consumer, millrace_admin;
