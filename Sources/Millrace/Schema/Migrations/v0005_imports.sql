-- How far each named import has come, so that it goes on after an interruption instead of starting again. The row moves in
-- the transaction that stores the lines it speaks of.
CREATE TABLE millrace.imports (
    name            text        COLLATE "C" NOT NULL,
    -- Input lines dealt with (stored or set aside), counted from the input's beginning.
    lines           bigint      NOT NULL,
    -- A hash over exactly those lines: a resumed import proves with it that it reads the same input.
    prefix_hash     bytea       NOT NULL,
    events_stored   bigint      NOT NULL,
    started_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    CONSTRAINT imports_pkey PRIMARY KEY (name),
    CONSTRAINT imports_counts_are_not_negative CHECK (lines >= 0 AND events_stored >= 0)
);

GRANT SELECT ON millrace.imports TO millrace_importer, millrace_admin;
