-- Between which bounds the page of the log after p_after lies: events with p_after < id <= up_to, stored at or after
-- open_since, or from stored_from up to, not including, stored_before. The times prune the months that can have none of them.
--
-- A page ends with the closed month that it begins in: up_to is that month's last position, or the horizon where p_after lies
-- behind all of them. Other months may have positions in between (see closed_months), so those are opened too.
CREATE OR REPLACE FUNCTION millrace.page_bounds(
    p_after bigint,
    OUT horizon bigint, OUT up_to bigint,
    OUT stored_from timestamptz, OUT stored_before timestamptz, OUT open_since timestamptz
)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
    PERFORM millrace.check_isolation();
    horizon := millrace.horizon();

    -- In one statement: a month that is closed between two would be neither here nor there.
    SELECT n.lower_bound, least(n.last_position, page_bounds.horizon), coalesce(c.upper_bound, '-infinity'), (
               SELECT max(m.upper_bound) FROM millrace.closed_months AS m
               WHERE m.first_position <= least(n.last_position, page_bounds.horizon)
           )
    INTO stored_from, up_to, open_since, stored_before
    FROM (SELECT max(m.upper_bound) AS upper_bound FROM millrace.closed_months AS m) AS c
    LEFT JOIN LATERAL (
        SELECT m.lower_bound, m.last_position FROM millrace.closed_months AS m
        WHERE m.last_position > p_after
        ORDER BY m.upper_bound
        LIMIT 1
    ) AS n ON true;

    up_to := coalesce(up_to, horizon);
    stored_from := coalesce(stored_from, open_since);
    stored_before := coalesce(stored_before, stored_from);
END
$$;

REVOKE ALL ON FUNCTION millrace.page_bounds(bigint) FROM PUBLIC;
