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

    SELECT m.lower_bound, least(m.last_position, horizon) INTO stored_from, up_to
    FROM millrace.closed_months AS m
    WHERE m.last_position > p_after
    ORDER BY m.upper_bound
    LIMIT 1;
    SELECT coalesce(max(m.upper_bound), '-infinity'),
           max(m.upper_bound) FILTER (WHERE m.first_position <= up_to)
    INTO open_since, stored_before
    FROM millrace.closed_months AS m;

    up_to := coalesce(up_to, horizon);
    stored_from := coalesce(stored_from, open_since);
    stored_before := coalesce(stored_before, stored_from);
END
$$;

REVOKE ALL ON FUNCTION millrace.page_bounds(bigint) FROM PUBLIC;
