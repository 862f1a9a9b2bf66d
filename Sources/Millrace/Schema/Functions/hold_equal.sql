-- Holds a projection still, to the end of the caller's transaction, where a generation is equal to the one that serves; answers NULL
-- then, and otherwise why it is not. The serving one's lanes are held at once, and its appends where it is inline; what the other has
-- left of them it may handle meanwhile, for so long at the most. Readers do not notice.
CREATE OR REPLACE FUNCTION millrace.hold_equal(p_projection text, p_generation int, p_wait_ms int DEFAULT 1000) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    c_beat       CONSTANT double precision := 0.01;
    v_until      timestamptz := clock_timestamp() + make_interval(secs => p_wait_ms / 1000.0);
    v_generation millrace.projection_generations := millrace.find_generation(p_projection, p_generation);
    v_projection millrace.projections;
    v_served     text;
    v_waiting    bigint;
    v_unequal    record;
BEGIN
    -- An older snapshot does not see what the other has handled since.
    PERFORM millrace.check_isolation();
    PERFORM millrace.check_projection_owner(p_projection);
    IF (p_wait_ms BETWEEN 0 AND 60000) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR011', MESSAGE = format('p_wait_ms is %s', coalesce(p_wait_ms::text, 'missing')), HINT = 'Give a number from 0 to 60000.';
    END IF;
    SELECT p.* INTO v_projection FROM millrace.projections AS p WHERE p.projection = p_projection FOR NO KEY UPDATE SKIP LOCKED;
    IF v_projection.projection IS NULL THEN
        RETURN 'somebody else is at it';
    ELSIF v_projection.serving = p_generation THEN
        RETURN 'it serves already';
    END IF;
    SELECT h.state_reason INTO v_served
    FROM millrace.event_handlers AS h WHERE h.handler_id = v_generation.handler_id AND h.state = 'stopped';
    IF FOUND THEN
        RETURN format('its handler is stopped: %s', v_served);
    END IF;

    SELECT g.handler_id INTO v_served
    FROM millrace.projection_generations AS g WHERE g.projection = p_projection AND g.generation = v_projection.serving;
    -- Far behind, or where some of it failed, nothing needs to be held.
    v_unequal := millrace.unequal_lanes(p_projection, p_generation);
    SELECT count(*) INTO v_waiting FROM millrace.parked_events AS p WHERE p.handler_id = v_generation.handler_id;
    IF v_waiting > 0 THEN
        RETURN format('%s of its streams %s for an event that failed', v_waiting, CASE v_waiting WHEN 1 THEN 'waits' ELSE 'wait' END);
    ELSIF v_unequal.behind IS NULL OR v_unequal.ahead > 0 THEN
        RETURN CASE WHEN v_unequal.ahead > 0 THEN format('%s of its lanes are ahead', v_unequal.ahead) ELSE 'it is far behind' END;
    END IF;

    -- New appends wait behind this, and nobody behind the lanes.
    PERFORM set_config('lock_timeout', CASE v_projection.mode WHEN 'inline' THEN '200ms' ELSE '2s' END, true);
    IF v_projection.mode = 'inline' THEN
        PERFORM pg_advisory_xact_lock(x'4D52'::int, hashtext('appends to ' || p_projection));
    ELSE
        PERFORM FROM millrace.handler_lanes AS l WHERE l.handler_id = v_served ORDER BY l.lane FOR UPDATE;
    END IF;
    LOOP
        v_unequal := millrace.unequal_lanes(p_projection, p_generation);
        EXIT WHEN v_unequal.behind = 0 AND v_unequal.ahead = 0;
        IF v_unequal.ahead > 0 THEN
            RETURN format('%s of its lanes are ahead', v_unequal.ahead);
        ELSIF v_unequal.behind IS NULL OR clock_timestamp() >= v_until THEN
            RETURN format('it is %s events behind', coalesce(v_unequal.behind::text, 'many'));
        END IF;
        PERFORM pg_sleep(c_beat);
    END LOOP;
    PERFORM FROM millrace.handler_lanes AS l WHERE l.handler_id = v_generation.handler_id ORDER BY l.lane FOR UPDATE;
    -- What failed counts as handled to its checkpoint.
    SELECT count(*) INTO v_waiting FROM millrace.parked_events AS p WHERE p.handler_id = v_generation.handler_id;
    IF v_waiting > 0 THEN
        RETURN format('%s of its streams %s for an event that failed', v_waiting, CASE v_waiting WHEN 1 THEN 'waits' ELSE 'wait' END);
    END IF;
    -- One that handled something since then still is no further than the other, or equal.
    UPDATE millrace.handler_lanes AS l
    SET checkpoint = v_unequal.positions[l.lane + 1]
    WHERE l.handler_id = v_generation.handler_id AND l.checkpoint < v_unequal.positions[l.lane + 1];
    RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION millrace.hold_equal(text, int, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.hold_equal(text, int, int) TO millrace_consumer, millrace_admin;
