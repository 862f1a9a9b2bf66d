-- The ledger: docs/ledger-format.md has every byte of it. Chains along the streams of declared types, and over all events one tree
-- that grows by signed blocks.

-- In the row that every append reads anyway.
ALTER TABLE millrace.store ADD COLUMN ledgered_types text[] COLLATE "C" NOT NULL DEFAULT '{}';

-- The current_hash of the stream's last event. Kept here, because the stream's row is locked and at hand when the next one is stored, while
-- the event may be in any month, compacted, or gone by a policy.
ALTER TABLE millrace.streams ADD COLUMN head_hash bytea;

-- What one event gets when it is chained.
CREATE TYPE millrace.chain_link AS (position bigint, event_id uuid, previous_hash bytea, current_hash bytea);

-- No row: no ledger is kept.
CREATE TABLE millrace.ledger (
    only_row      boolean     NOT NULL DEFAULT true,
    -- What its checkpoints are signed as the heads of.
    origin        text        COLLATE "C" NOT NULL,
    -- How long an event stays unsealed while a sealer runs.
    seal_interval interval    NOT NULL DEFAULT interval '1 second',
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT ledger_pkey PRIMARY KEY (only_row),
    CONSTRAINT ledger_has_one_row CHECK (only_row),
    CONSTRAINT ledger_origin_fits CHECK (origin ~ '^[^[:space:]+]{1,255}$'),
    CONSTRAINT ledger_seal_interval_is_sane CHECK (seal_interval BETWEEN interval '100 milliseconds' AND interval '1 hour')
);

-- Public keys only. The one that signs is the last; those before it go on verifying what they signed.
CREATE TABLE millrace.ledger_keys (
    key_number   int         NOT NULL,
    verifier_key text        COLLATE "C" NOT NULL,
    -- The note with which the key before it says that this one follows; the first has none.
    endorsement  text,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT ledger_keys_pkey PRIMARY KEY (key_number),
    CONSTRAINT ledger_keys_differ UNIQUE (verifier_key),
    CONSTRAINT ledger_keys_are_endorsed CHECK ((key_number = 1) = (endorsement IS NULL))
);

CREATE TABLE millrace.ledger_blocks (
    number         bigint      NOT NULL,
    previous_hash  bytea       NOT NULL,
    block_hash     bytea       NOT NULL,
    first_position bigint      NOT NULL,
    last_position  bigint      NOT NULL,
    -- Leaves before the block, and with it.
    first_leaf     bigint      NOT NULL,
    tree_size      bigint      NOT NULL,
    root_hash      bytea       NOT NULL,
    sealed_at      timestamptz NOT NULL,
    key_number     int         NOT NULL,
    signature      bytea       NOT NULL,
    CONSTRAINT ledger_blocks_pkey PRIMARY KEY (number),
    CONSTRAINT ledger_blocks_follow_each_other UNIQUE (first_leaf),
    CONSTRAINT ledger_blocks_last_position_key UNIQUE (last_position),
    CONSTRAINT ledger_blocks_tree_size_key UNIQUE (tree_size),
    CONSTRAINT ledger_blocks_have_leaves CHECK (first_leaf < tree_size AND first_position <= last_position),
    CONSTRAINT ledger_blocks_key_fkey FOREIGN KEY (key_number) REFERENCES millrace.ledger_keys (key_number)
);

-- Runs of leaves, each within one block: their positions, and for each of them 32 bytes of hash and 26 that tell its columns apart.
CREATE TABLE millrace.ledger_leaves (
    first_leaf     bigint   NOT NULL,
    positions      bigint[] NOT NULL,
    leaf_hashes    bytea    STORAGE EXTERNAL NOT NULL,
    column_digests bytea    STORAGE EXTERNAL NOT NULL,
    CONSTRAINT ledger_leaves_pkey PRIMARY KEY (first_leaf),
    CONSTRAINT ledger_leaves_have_all_of_each CHECK (
        cardinality(positions) BETWEEN 1 AND 1024
        AND octet_length(leaf_hashes) = 32 * cardinality(positions)
        AND octet_length(column_digests) = 26 * cardinality(positions)
    )
);

-- The hash of each complete subtree of 256 ^ level leaves; index counts them from 0. With them a proof reads hundreds of hashes, not all.
CREATE TABLE millrace.ledger_nodes (
    level smallint NOT NULL,
    index bigint   NOT NULL,
    hash  bytea    NOT NULL,
    CONSTRAINT ledger_nodes_pkey PRIMARY KEY (level, index),
    CONSTRAINT ledger_nodes_level_is_known CHECK (level BETWEEN 1 AND 7),
    CONSTRAINT ledger_nodes_hash_is_whole CHECK (octet_length(hash) = 32)
);

-- How far each place outside has been told. What it was told stands there, not here.
CREATE TABLE millrace.ledger_publications (
    target       text        COLLATE "C" NOT NULL,
    block_number bigint,
    published_at timestamptz,
    -- Of the last attempt, where it failed.
    failed_at    timestamptz,
    error        text,
    CONSTRAINT ledger_publications_pkey PRIMARY KEY (target)
);

DO $$
DECLARE
    v_table text;
BEGIN
    FOREACH v_table IN ARRAY ARRAY['ledger_keys', 'ledger_blocks', 'ledger_leaves', 'ledger_nodes'] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON millrace.%I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION millrace.refuse_change()', v_table || '_never_change', v_table);
        EXECUTE format('ALTER TABLE millrace.%I ENABLE ALWAYS TRIGGER %I', v_table, v_table || '_never_change');
    END LOOP;
END
$$;

GRANT SELECT ON millrace.ledger, millrace.ledger_keys, millrace.ledger_blocks, millrace.ledger_leaves, millrace.ledger_nodes,
    millrace.ledger_publications
    TO millrace_consumer, millrace_admin;

-- What operators do to handlers is an act of the ledger too: see record_act.
CREATE FUNCTION millrace.record_handler_action() RETURNS trigger
LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    PERFORM millrace.record_act(
        'handler_' || NEW.action, NEW.handler_id, NEW.reason,
        jsonb_strip_nulls(jsonb_build_object('position', NEW.position, 'event_id', NEW.event_id, 'details', NEW.details))
    );
    RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION millrace.record_handler_action() FROM PUBLIC;

CREATE TRIGGER handler_actions_are_recorded
    AFTER INSERT ON millrace.handler_actions
    FOR EACH ROW EXECUTE FUNCTION millrace.record_handler_action();
