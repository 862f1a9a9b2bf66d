-- A twin of millrace.events for the bare statements: the same columns, months, constraints and indexes, whatever they are by
-- now, and positions from a sequence of its own. Millrace's own log would refuse nothing of a plain INSERT by its owner, but
-- then held events without streams. The triggers against changes are left out: an INSERT never meets them.
DO $$
DECLARE
    v_part record;
BEGIN
    CREATE SCHEMA bench;
    CREATE SEQUENCE bench.events_id_seq AS bigint CACHE 1;
    CREATE TABLE bench.events (LIKE millrace.events INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING INDEXES)
        PARTITION BY RANGE (created_at);
    ALTER TABLE bench.events ALTER COLUMN id SET DEFAULT nextval('bench.events_id_seq');
    FOR v_part IN
        SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound
        FROM pg_inherits AS i
        JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'millrace.events'::regclass
        ORDER BY c.relname
    LOOP
        EXECUTE format('CREATE TABLE bench.%1$I (LIKE millrace.%1$I '
                       'INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING INDEXES)', v_part.name);
        EXECUTE format('ALTER TABLE bench.events ATTACH PARTITION bench.%I %s', v_part.name, v_part.bound);
    END LOOP;
END
$$
