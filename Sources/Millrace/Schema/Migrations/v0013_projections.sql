-- Read models: each a name, and under it one generation for every time that it was built. One of them serves, through views in a schema of
-- the user's; each has its tables in a schema of its own, and a handler of its own, whose checkpoints say what is in them.
CREATE TABLE millrace.projections (
    projection    text        COLLATE "C" NOT NULL,
    -- behind: by handlers, after the events. inline: in the transaction that appends them.
    mode          text        NOT NULL,
    -- Who registered it: its statements are run as him, and what they make is his.
    owner         name        NOT NULL,
    -- Where its views are.
    published_in  name        NOT NULL,
    -- NULL: none yet.
    serving       int,
    -- Numbers are given once: who still has a lane of one that was dropped must not have it of another.
    last_generation int       NOT NULL DEFAULT 0,
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT projections_pkey PRIMARY KEY (projection),
    CONSTRAINT projections_mode_is_known CHECK (mode IN ('behind', 'inline')),
    -- It becomes the beginning of the name of a schema.
    CONSTRAINT projections_name_is_plain CHECK (projection ~ '^[a-z][a-z0-9_]{0,39}$')
);

CREATE TABLE millrace.projection_generations (
    projection      text        COLLATE "C" NOT NULL,
    generation      int         NOT NULL,
    -- Of the code that writes it.
    version         int         NOT NULL,
    handler_id      text        COLLATE "C" NOT NULL,
    schema_name     name        NOT NULL,
    -- What makes the tables, and what is made when they are full: as they were given, for whoever builds the next generation.
    tables          text        NOT NULL,
    indexes         text,
    -- The functions that write it, a stage each; NULL: Swift does.
    functions       text[],
    -- serve: takes the place of the serving one when it is equal to it. verify: is only compared with it.
    purpose         text        NOT NULL,
    state           text        NOT NULL,
    -- Of each thousand streams so many are projected.
    sample          int         NOT NULL DEFAULT 1000,
    -- Whether whoever builds it lets it serve by himself.
    swaps_by_itself boolean     NOT NULL,
    -- By lane: up to where another generation has had the effects that must not be had twice. While it builds it has none.
    silent_to       bigint[]    NOT NULL DEFAULT '{}',
    requested_by    text        NOT NULL DEFAULT session_user,
    requested_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    indexed_at      timestamptz,
    served_at       timestamptz,
    replaced_at     timestamptz,
    CONSTRAINT projection_generations_pkey PRIMARY KEY (projection, generation),
    CONSTRAINT projection_generations_handler_key UNIQUE (handler_id),
    CONSTRAINT projection_generations_projection_fkey FOREIGN KEY (projection) REFERENCES millrace.projections (projection),
    CONSTRAINT projection_generations_handler_fkey FOREIGN KEY (handler_id) REFERENCES millrace.event_handlers (handler_id) ON DELETE CASCADE,
    CONSTRAINT projection_generations_purpose_is_known CHECK (purpose IN ('serve', 'verify')),
    CONSTRAINT projection_generations_state_is_known CHECK (state IN ('building', 'serving', 'kept')),
    CONSTRAINT projection_generations_sample_is_a_part CHECK (sample BETWEEN 1 AND 1000),
    CONSTRAINT projection_generations_that_serve_are_whole CHECK (state = 'building' OR sample = 1000 AND purpose = 'serve')
);
CREATE UNIQUE INDEX projection_generations_one_serves ON millrace.projection_generations (projection) WHERE state = 'serving';
ALTER TABLE millrace.projections
    ADD CONSTRAINT projections_serving_fkey FOREIGN KEY (projection, serving)
        REFERENCES millrace.projection_generations (projection, generation) DEFERRABLE INITIALLY DEFERRED;

-- What was done to read models, and why.
ALTER TABLE millrace.handler_actions DROP CONSTRAINT handler_actions_action_is_known;
ALTER TABLE millrace.handler_actions ADD CONSTRAINT handler_actions_action_is_known CHECK (
    action IN ('pause', 'stop', 'resume', 'reset', 'replay', 'cancel_replay', 'retry', 'discard', 'edit', 'remove',
               'build', 'swap', 'roll_back', 'drop')
);

GRANT SELECT ON millrace.projections, millrace.projection_generations TO millrace_publisher, millrace_consumer, millrace_admin;
-- Whoever appends inline has to know what it wants.
GRANT SELECT ON millrace.event_handlers TO millrace_publisher;
