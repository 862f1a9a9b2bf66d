-- What the state of an aggregate is made of, in one answer: first a row with the stream's version and the snapshot, whose event columns are
-- NULL, then the events after the snapshot in version order, up to p_limit of them; further ones are to be had from read_stream, up to
-- the version that the first row says.
--
-- snapshot_age is in seconds. The snapshot is the one that save_snapshot has stored for this decider and shape; its columns are NULL where there is none, where it is
-- of a version beyond p_to_version, and where p_decider is NULL. It is read in the same statement as the stream's row, and of no version
-- beyond that one's. For the bounds on created_at see read_stream.
CREATE OR REPLACE FUNCTION millrace.load_aggregate(
    p_aggregate_type text,
    p_aggregate_id   text,
    p_decider        text DEFAULT NULL,
    p_shape          int  DEFAULT NULL,
    p_limit          int  DEFAULT 1000,
    p_to_version     int  DEFAULT NULL
) RETURNS TABLE (
    stream_version int, snapshot_version int, snapshot_state json, snapshot_age double precision,
    id bigint, event_id uuid, event_type text, aggregate_type text, aggregate_id text, version int,
    event_data jsonb, metadata jsonb, occurred_at timestamptz, created_at timestamptz, payload bytea, content_type text
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
DECLARE
    v_first   timestamptz;
    v_last    timestamptz;
    v_version int;
    v_taken   timestamptz;
BEGIN
    SELECT s.first_event_at, s.last_event_at, s.version, n.version, n.state, n.taken_at
    INTO v_first, v_last, v_version, snapshot_version, snapshot_state, v_taken
    FROM millrace.streams AS s
    LEFT JOIN millrace.snapshots AS n
        ON n.aggregate_type = s.aggregate_type AND n.aggregate_id = s.aggregate_id
        AND n.decider = p_decider AND n.shape = p_shape AND n.version <= least(s.version, p_to_version)
    WHERE s.aggregate_type = p_aggregate_type AND s.aggregate_id = p_aggregate_id;

    stream_version := coalesce(v_version, 0);
    snapshot_age := extract(epoch FROM clock_timestamp() - v_taken);
    RETURN NEXT;

    RETURN QUERY
    SELECT NULL::int, NULL::int, NULL::json, NULL::double precision,
           e.id, e.event_id, e.event_type, e.aggregate_type, e.aggregate_id, e.version,
           e.event_data, e.metadata, e.occurred_at, e.created_at, e.payload, e.content_type
    FROM millrace.events AS e
    WHERE e.aggregate_type = p_aggregate_type AND e.aggregate_id = p_aggregate_id
      AND e.version BETWEEN coalesce(load_aggregate.snapshot_version, 0) + 1 AND least(p_to_version, v_version)
      AND e.created_at BETWEEN v_first AND v_last
    ORDER BY e.version
    LIMIT greatest(p_limit, 0);
END
$$;

REVOKE ALL ON FUNCTION millrace.load_aggregate(text, text, text, int, int, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.load_aggregate(text, text, text, int, int, int)
    TO millrace_consumer, millrace_publisher, millrace_admin;
