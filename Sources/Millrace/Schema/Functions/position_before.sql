-- The position behind which everything lies that was stored at or after a moment: of the last event before the first of those. 0 where
-- that is the first event of all, and the end of the log where nothing was stored since. What was stored a little before the moment may
-- lie behind it too, because transactions that run at the same time take the time and their positions one after the other.
--
-- Times have no index, but they grow with the positions, but for clocks that disagree and transactions that overlap. So the place is found
-- by halving what is left, a day too early, and from there on it is looked at event by event: nothing is missed while no clock was ever
-- off by more.
CREATE OR REPLACE FUNCTION millrace.position_before(p_time timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
DECLARE
    c_margin CONSTANT interval := '1 day';
    v_last       bigint;
    v_low        bigint := 0;
    v_high       bigint;
    v_mid        bigint;
    v_since      timestamptz;
    v_id         bigint;
    v_created_at timestamptz;
    v_position   bigint;
BEGIN
    IF p_time IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'MR011', MESSAGE = 'p_time is missing', HINT = 'Give a time.';
    END IF;
    v_last := millrace.last_committed_position();
    IF p_time = 'infinity' THEN
        RETURN v_last;
    ELSIF p_time = '-infinity' THEN
        RETURN 0;
    END IF;

    v_high := v_last;
    WHILE v_low < v_high LOOP
        v_mid := v_low + (v_high - v_low) / 2;
        v_since := millrace.stored_from(v_mid);
        SELECT e.id, e.created_at INTO v_id, v_created_at
        FROM millrace.events AS e
        WHERE e.id > v_mid AND e.id <= v_high AND e.created_at >= v_since
        ORDER BY e.id
        LIMIT 1;
        IF v_created_at < p_time - c_margin THEN
            v_low := v_id;
        ELSE
            v_high := v_mid;
        END IF;
    END LOOP;

    SELECT e.id INTO v_id
    FROM millrace.events AS e
    WHERE e.id > v_low AND e.id <= v_last AND e.created_at >= p_time
    ORDER BY e.id
    LIMIT 1;
    IF v_id IS NULL THEN
        RETURN v_last;
    END IF;

    SELECT e.id INTO v_position FROM millrace.events AS e WHERE e.id < v_id ORDER BY e.id DESC LIMIT 1;
    RETURN coalesce(v_position, 0);
END
$$;

REVOKE ALL ON FUNCTION millrace.position_before(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.position_before(timestamptz) TO millrace_consumer, millrace_admin;
