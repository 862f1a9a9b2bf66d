-- What the view horizon_holders shows. A function, because a view's functions run as whoever selects from it, while the
-- query and the age of other roles' sessions are shown only to members of pg_read_all_stats: the owner should be one.
-- Where he is not, the pid and the command are there all the same.
--
-- A prepared transaction has no session: pg_locks shows no pid for it, and no transaction id beside an advisory lock. But it
-- also holds a lock on its own transaction id, under the same virtual transaction, before a restart and after.
CREATE OR REPLACE FUNCTION millrace.list_horizon_holders()
RETURNS TABLE (
    fence bigint, positions_behind bigint, pid int, gid text, owner text, application_name text, state text,
    age interval, query text, settle_with text
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT f.fence,
           millrace.latest_position() - f.fence,
           f.pid,
           x.gid,
           coalesce(a.usename::text, x.owner::text),
           a.application_name,
           CASE WHEN f.pid IS NULL THEN 'prepared' ELSE a.state END,
           clock_timestamp() - coalesce(a.xact_start, x.prepared),
           a.query,
           CASE
               WHEN f.pid IS NOT NULL THEN format('SELECT pg_terminate_backend(%s)', f.pid)
               WHEN x.gid IS NOT NULL THEN format('COMMIT PREPARED %L or ROLLBACK PREPARED %L', x.gid, x.gid)
           END
    FROM (
        SELECT (l.classid::bigint & 65535) << 32 | l.objid::bigint AS fence, l.pid, l.virtualtransaction
        FROM pg_catalog.pg_locks AS l
        WHERE l.locktype = 'advisory'
          AND l.mode = 'ShareLock'
          AND l.granted
          AND l.objsubid = 1
          AND l.classid::bigint >> 16 = x'4D52'::bigint
          AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())
    ) AS f
    LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = f.pid
    LEFT JOIN (
        SELECT p.gid, p.owner, p.prepared, l.virtualtransaction
        FROM pg_catalog.pg_prepared_xacts AS p
        JOIN pg_catalog.pg_locks AS l
            ON l.locktype = 'transactionid' AND l.transactionid = p.transaction AND l.pid IS NULL AND l.granted
    ) AS x ON f.pid IS NULL AND x.virtualtransaction = f.virtualtransaction
    ORDER BY f.fence, f.pid;
END
$$;

REVOKE ALL ON FUNCTION millrace.list_horizon_holders() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.list_horizon_holders() TO millrace_consumer, millrace_admin;
