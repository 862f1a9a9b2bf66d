-- Which positions each closed month holds, so that readers open the months they need and no others. Closed: nothing is stored
-- in it any more (store.open_since) and nobody who could is left; see close_months. The rows follow each other without gaps,
-- the first from the beginning of time; the positions of neighbours may overlap, because a transaction takes the time and
-- its positions one after the other.
CREATE TABLE millrace.closed_months (
    lower_bound    timestamptz NOT NULL,
    upper_bound    timestamptz NOT NULL,
    -- NULL where the month has no events.
    first_position bigint,
    last_position  bigint,
    closed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT closed_months_pkey PRIMARY KEY (upper_bound),
    CONSTRAINT closed_months_follow_each_other UNIQUE (lower_bound),
    CONSTRAINT closed_months_have_a_length CHECK (lower_bound < upper_bound),
    CONSTRAINT closed_months_have_both_positions_or_none CHECK (
        (first_position IS NULL) = (last_position IS NULL) AND first_position <= last_position
    )
);

GRANT SELECT ON millrace.closed_months TO millrace_consumer, millrace_admin;
