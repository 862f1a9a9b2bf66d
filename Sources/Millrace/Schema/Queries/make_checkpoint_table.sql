-- In the other database, which keeps what was published to it: one checkpoint for each size of a tree, for ever.
CREATE TABLE IF NOT EXISTS millrace_checkpoints (
    origin       text        NOT NULL,
    tree_size    bigint      NOT NULL,
    block_number bigint      NOT NULL,
    checkpoint   text        NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT millrace_checkpoints_pkey PRIMARY KEY (origin, tree_size)
)
