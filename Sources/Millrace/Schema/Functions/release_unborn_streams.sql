-- Takes away the rows of version 0 that hold_streams made for streams which were not written in the end, so that none is
-- ever committed: a reader of the table sees streams only, and nobody finds a row that goes away under him.
CREATE OR REPLACE FUNCTION millrace.release_unborn_streams(p_aggregate_types text[], p_aggregate_ids text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
    DELETE FROM millrace.streams AS s
    WHERE s.ctid = ANY (ARRAY(
        SELECT t.ctid
        FROM unnest(p_aggregate_types, p_aggregate_ids) AS n (aggregate_type, aggregate_id)
        CROSS JOIN LATERAL (
            SELECT u.ctid, u.version FROM millrace.streams AS u
            WHERE u.aggregate_type = n.aggregate_type AND u.aggregate_id = n.aggregate_id
            LIMIT 1
        ) AS t
        WHERE t.version = 0
    ));
END
$$;

REVOKE ALL ON FUNCTION millrace.release_unborn_streams(text[], text[]) FROM PUBLIC;
