-- The read side of the demo's order system, beside the schema of Millrace and apart from it. A run of the demo has a
-- name, so that a folder can be used for many runs.
SELECT pg_advisory_xact_lock(hashtextextended('millrace_demo', 0));
CREATE SCHEMA IF NOT EXISTS millrace_demo;

-- Every delivery of every event, in the order of handling. Deliberately without a unique constraint: the summary counts
-- repetitions, and a constraint would hide what it is to find.
CREATE TABLE IF NOT EXISTS millrace_demo.handled (
    handling       bigint GENERATED ALWAYS AS IDENTITY,
    run            text   NOT NULL,
    consumer       text   NOT NULL,
    position       bigint NOT NULL,
    aggregate_type text   NOT NULL,
    aggregate_id   text   NOT NULL,
    version        int    NOT NULL,
    CONSTRAINT handled_pkey PRIMARY KEY (handling)
);

CREATE TABLE IF NOT EXISTS millrace_demo.invoices (
    run      text   NOT NULL,
    order_id text   NOT NULL,
    cents    bigint NOT NULL,
    CONSTRAINT invoices_pkey PRIMARY KEY (run, order_id)
);

CREATE TABLE IF NOT EXISTS millrace_demo.shipments (
    run      text NOT NULL,
    order_id text NOT NULL,
    status   text NOT NULL,
    CONSTRAINT shipments_pkey PRIMARY KEY (run, order_id),
    CONSTRAINT shipments_status_is_known CHECK (status IN ('packing', 'stopped'))
);

CREATE TABLE IF NOT EXISTS millrace_demo.revenue (
    run    text   NOT NULL,
    orders bigint NOT NULL,
    cents  bigint NOT NULL,
    CONSTRAINT revenue_pkey PRIMARY KEY (run)
);
