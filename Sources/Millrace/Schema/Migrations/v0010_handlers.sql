-- Who handles events, and how far each has come. Nothing here is written by hand: the functions keep the rules.
CREATE TABLE millrace.event_handlers (
    handler_id      text     COLLATE "C" NOT NULL,
    -- swift: code of a process that leases lanes. sql: a function of this database, run by the daemon, by process_event or by cron.
    kind            text     NOT NULL,
    function        text,
    -- NULL: every type. Sorted, so that the same filter is the same value.
    event_types     text[]   COLLATE "C",
    aggregate_types text[]   COLLATE "C",
    -- Fixed for ever: another number would send streams to other lanes, whose checkpoints know nothing of them.
    lanes           int      NOT NULL,
    state           text     NOT NULL DEFAULT 'active',
    state_reason    text,
    state_since     timestamptz NOT NULL DEFAULT clock_timestamp(),
    audit           text     NOT NULL,
    max_attempts    int      NOT NULL,
    first_wait_ms   int      NOT NULL,
    longest_wait_ms int      NOT NULL,
    -- Streams that may be set aside at a time; one more stops the handler.
    parked_limit    int      NOT NULL,
    registered_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT event_handlers_pkey PRIMARY KEY (handler_id),
    CONSTRAINT event_handlers_kind_is_known CHECK (kind IN ('swift', 'sql')),
    CONSTRAINT event_handlers_have_a_function_in_sql CHECK ((kind = 'sql') = (function IS NOT NULL)),
    CONSTRAINT event_handlers_state_is_known CHECK (state IN ('active', 'paused', 'stopped')),
    CONSTRAINT event_handlers_audit_is_known CHECK (audit IN ('all', 'failures', 'none')),
    CONSTRAINT event_handlers_lanes_are_some CHECK (lanes BETWEEN 1 AND 1024),
    CONSTRAINT event_handlers_limits_are_positive CHECK (
        max_attempts > 0 AND first_wait_ms >= 0 AND longest_wait_ms >= first_wait_ms AND parked_limit > 0
    )
);

-- A lane is one of the N hash partitions of a handler's streams (see lane_of). Its row is what its worker's transactions move,
-- and the lock that keeps two of them apart. The token goes up with every lease, so that a worker that slept through the end of
-- his cannot commit.
CREATE TABLE millrace.handler_lanes (
    handler_id    text   COLLATE "C" NOT NULL,
    lane          int    NOT NULL,
    -- The position of the last committed event that was scanned: what matches at or below it is handled, or set aside.
    checkpoint    bigint NOT NULL,
    token         bigint NOT NULL DEFAULT 0,
    worker_id     uuid,
    leased_until  timestamptz,
    -- When the checkpoint moved last, and when the event that it stands on was stored.
    moved_at      timestamptz,
    stored_at     timestamptz,
    CONSTRAINT handler_lanes_pkey PRIMARY KEY (handler_id, lane),
    CONSTRAINT handler_lanes_handler_fkey FOREIGN KEY (handler_id) REFERENCES millrace.event_handlers (handler_id) ON DELETE CASCADE,
    CONSTRAINT handler_lanes_lease_has_an_end CHECK ((worker_id IS NULL) = (leased_until IS NULL))
) WITH (fillfactor = 50);

-- Who offers to handle: how many share the lanes. One row a worker and handler, as long as it goes on saying so.
CREATE TABLE millrace.handler_workers (
    handler_id   text        COLLATE "C" NOT NULL,
    worker_id    uuid        NOT NULL,
    name         text        NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_until   timestamptz NOT NULL,
    CONSTRAINT handler_workers_pkey PRIMARY KEY (handler_id, worker_id),
    CONSTRAINT handler_workers_handler_fkey FOREIGN KEY (handler_id) REFERENCES millrace.event_handlers (handler_id) ON DELETE CASCADE
) WITH (fillfactor = 50);

-- A stream that waits, for a handler: the event at its head failed, and what follows in the stream waits behind it, in order. One row a
-- stream, however many wait: they are found again in the stream itself. Only whoever holds the lane makes and removes rows, in the
-- transaction that moves the checkpoint past the event; an operator changes status and data.
CREATE TABLE millrace.parked_events (
    handler_id      text        COLLATE "C" NOT NULL,
    aggregate_type  text        COLLATE "C" NOT NULL,
    aggregate_id    text        COLLATE "C" NOT NULL,
    lane            int         NOT NULL,
    -- The event at the head.
    position        bigint      NOT NULL,
    event_id        uuid        NOT NULL,
    event_type      text        COLLATE "C" NOT NULL,
    version         int         NOT NULL,
    -- retrying: handled again at next_attempt_at. discarding: passed over then. parked: waits for somebody.
    status          text        NOT NULL,
    attempts        int         NOT NULL,
    error           text,
    error_kind      text,
    first_failed_at timestamptz NOT NULL,
    last_failed_at  timestamptz NOT NULL,
    next_attempt_at timestamptz,
    -- Matching events of the stream that came after it and were passed by.
    waiting         bigint      NOT NULL DEFAULT 0,
    -- What the handler gets in the place of the event's data. The event itself never changes.
    edited_data     jsonb,
    edited_by       text,
    -- Why it is passed over, where it is being discarded.
    discard_reason  text,
    CONSTRAINT parked_events_pkey PRIMARY KEY (handler_id, aggregate_type, aggregate_id),
    CONSTRAINT parked_events_handler_fkey FOREIGN KEY (handler_id) REFERENCES millrace.event_handlers (handler_id) ON DELETE CASCADE,
    CONSTRAINT parked_events_status_is_known CHECK (status IN ('retrying', 'discarding', 'parked')),
    CONSTRAINT parked_events_wait_for_somebody_or_a_time CHECK ((status = 'parked') = (next_attempt_at IS NULL)),
    CONSTRAINT parked_events_counts_are_not_negative CHECK (attempts >= 0 AND waiting >= 0)
) WITH (fillfactor = 80);
CREATE INDEX parked_events_by_time ON millrace.parked_events (handler_id, lane, next_attempt_at);

-- Streams that process_event has brought further than their lane's checkpoint, until it passes them.
CREATE TABLE millrace.handled_ahead (
    handler_id     text   COLLATE "C" NOT NULL,
    aggregate_type text   COLLATE "C" NOT NULL,
    aggregate_id   text   COLLATE "C" NOT NULL,
    lane           int    NOT NULL,
    position       bigint NOT NULL,
    CONSTRAINT handled_ahead_pkey PRIMARY KEY (handler_id, aggregate_type, aggregate_id),
    CONSTRAINT handled_ahead_handler_fkey FOREIGN KEY (handler_id) REFERENCES millrace.event_handlers (handler_id) ON DELETE CASCADE
);
CREATE INDEX handled_ahead_by_lane ON millrace.handled_ahead (handler_id, lane, position);

-- What became of the events of a type, by lane, moving with the checkpoint; so it is complete whatever is audited.
CREATE TABLE millrace.handler_counts (
    handler_id   text   COLLATE "C" NOT NULL,
    -- -1: what lies before the handler's beginning.
    lane         int    NOT NULL,
    event_type   text   COLLATE "C" NOT NULL,
    skipped      bigint NOT NULL DEFAULT 0,
    processed    bigint NOT NULL DEFAULT 0,
    discarded    bigint NOT NULL DEFAULT 0,
    attempts     bigint NOT NULL DEFAULT 0,
    -- Spent on the events that were processed.
    microseconds bigint NOT NULL DEFAULT 0,
    -- Of those how many took less than 2^(n/2) microseconds and not less than 2^((n-1)/2), for n from 1 to 64.
    latencies    bigint[] NOT NULL DEFAULT array_fill(0::bigint, ARRAY[64]),
    CONSTRAINT handler_counts_pkey PRIMARY KEY (handler_id, lane, event_type),
    CONSTRAINT handler_counts_handler_fkey FOREIGN KEY (handler_id) REFERENCES millrace.event_handlers (handler_id) ON DELETE CASCADE
) WITH (fillfactor = 50);

-- How many events of each type the log holds up to a position: what is pending is this less what was settled.
CREATE TABLE millrace.event_counts (
    event_type     text   COLLATE "C" NOT NULL,
    aggregate_type text   COLLATE "C" NOT NULL,
    events         bigint NOT NULL,
    CONSTRAINT event_counts_pkey PRIMARY KEY (event_type, aggregate_type)
) WITH (fillfactor = 50);

CREATE TABLE millrace.event_counts_end (
    only_row   boolean NOT NULL DEFAULT true,
    counted_to bigint  NOT NULL DEFAULT 0,
    CONSTRAINT event_counts_end_pkey PRIMARY KEY (only_row),
    CONSTRAINT event_counts_end_has_one_row CHECK (only_row)
) WITH (fillfactor = 50);
INSERT INTO millrace.event_counts_end (only_row) VALUES (true);

-- How long event_audit keeps a row, at the least.
ALTER TABLE millrace.store
    ADD COLUMN audit_kept interval NOT NULL DEFAULT '90 days',
    ADD CONSTRAINT store_audit_is_kept_for_a_time CHECK (audit_kept > interval '0');

-- Every attempt, or those that failed, as each handler says. Trimmed by age, see trim_audit.
CREATE TABLE millrace.event_audit (
    processed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    handler_id   text        COLLATE "C" NOT NULL,
    position     bigint      NOT NULL,
    event_id     uuid        NOT NULL,
    event_type   text        COLLATE "C" NOT NULL,
    lane         int         NOT NULL,
    attempt      int         NOT NULL,
    status       text        NOT NULL,
    error        text,
    worker       text        NOT NULL,
    duration     interval    NOT NULL,
    CONSTRAINT event_audit_status_is_known CHECK (status IN ('success', 'failed', 'retrying', 'parked', 'discarded'))
);
CREATE INDEX event_audit_by_event ON millrace.event_audit (position, handler_id);
-- A few bytes for a hundred pages: rows come in the order of their times.
CREATE INDEX event_audit_by_time ON millrace.event_audit USING brin (processed_at);

-- A range of the log that is handled once more, beside what a handler does anyway.
CREATE TABLE millrace.handler_replays (
    replay_id      bigint      GENERATED ALWAYS AS IDENTITY,
    handler_id     text        COLLATE "C" NOT NULL,
    first_position bigint      NOT NULL,
    last_position  bigint      NOT NULL,
    requested_by   text        NOT NULL DEFAULT session_user,
    requested_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Whoever handles it stops at the lanes' checkpoints then.
    cancelled_by   text,
    cancelled_at   timestamptz,
    CONSTRAINT handler_replays_pkey PRIMARY KEY (replay_id),
    CONSTRAINT handler_replays_handler_fkey FOREIGN KEY (handler_id) REFERENCES millrace.event_handlers (handler_id) ON DELETE CASCADE,
    CONSTRAINT handler_replays_have_a_length CHECK (first_position <= last_position),
    CONSTRAINT handler_replays_are_cancelled_by_somebody CHECK ((cancelled_by IS NULL) = (cancelled_at IS NULL))
);
CREATE TABLE millrace.handler_replay_lanes (
    replay_id  bigint NOT NULL,
    lane       int    NOT NULL,
    checkpoint bigint NOT NULL,
    processed  bigint NOT NULL DEFAULT 0,
    failed     bigint NOT NULL DEFAULT 0,
    CONSTRAINT handler_replay_lanes_pkey PRIMARY KEY (replay_id, lane),
    CONSTRAINT handler_replay_lanes_replay_fkey FOREIGN KEY (replay_id) REFERENCES millrace.handler_replays (replay_id) ON DELETE CASCADE
);

-- What operators did to handlers and to events that waited, and why. It outlives what it speaks of, hence no foreign key.
CREATE TABLE millrace.handler_actions (
    action_id  bigint      GENERATED ALWAYS AS IDENTITY,
    acted_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    acted_by   text        NOT NULL DEFAULT session_user,
    action     text        NOT NULL,
    handler_id text        COLLATE "C" NOT NULL,
    -- Of the event, where one is meant.
    position   bigint,
    event_id   uuid,
    reason     text,
    -- What is needed to understand it later, or to undo it: how it was before.
    details    jsonb,
    CONSTRAINT handler_actions_pkey PRIMARY KEY (action_id),
    CONSTRAINT handler_actions_action_is_known CHECK (
        action IN ('pause', 'stop', 'resume', 'reset', 'replay', 'cancel_replay', 'retry', 'discard', 'edit', 'remove')
    ),
    CONSTRAINT handler_actions_discard_for_a_reason CHECK (action <> 'discard' OR reason IS NOT NULL)
);
CREATE INDEX handler_actions_by_handler ON millrace.handler_actions (handler_id, action_id);
CREATE INDEX handler_actions_by_event ON millrace.handler_actions (position, handler_id) WHERE position IS NOT NULL;

-- What has had its effect already: for a receiver of events whose effects are here, while the sender's checkpoint is elsewhere.
CREATE TABLE millrace.inbox (
    receiver    text        COLLATE "C" NOT NULL,
    key         text        COLLATE "C" NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT inbox_pkey PRIMARY KEY (receiver, key)
);

GRANT SELECT ON millrace.event_handlers, millrace.handler_lanes, millrace.handler_workers, millrace.parked_events, millrace.handled_ahead,
    millrace.handler_counts, millrace.event_counts, millrace.event_counts_end, millrace.event_audit, millrace.handler_replays,
    millrace.handler_replay_lanes, millrace.handler_actions, millrace.inbox
    TO millrace_consumer, millrace_admin;
