-- Locks streams, existing or not, in one fixed order (that of their names), until the transaction ends. append_events begins
-- with it, so two of its calls cannot deadlock each other; a transaction of several calls should begin with it itself.
--
-- One sorted statement for existing and new streams alike: ON CONFLICT DO UPDATE locks a row whatever its WHERE says, so an
-- existing row is locked and not written. In two statements (insert what is missing, then lock the rest) an append that
-- does both in one, such as publish_event, could meet it halfway. Rows it made for streams that do not exist go again at
-- once; not yet committed, they hold off every other transaction all the same.
CREATE OR REPLACE FUNCTION millrace.lock_streams(p_aggregate_types text[], p_aggregate_ids text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
SET enable_seqscan = off SET enable_nestloop = off SET plan_cache_mode = force_generic_plan
SET millrace.advances_streams = on
AS $$
BEGIN
    PERFORM millrace.check_names(p_aggregate_types, p_aggregate_ids);
    IF millrace.hold_streams(p_aggregate_types, p_aggregate_ids) > 0 THEN
        PERFORM millrace.release_unborn_streams(p_aggregate_types, p_aggregate_ids);
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.lock_streams(text[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.lock_streams(text[], text[]) TO millrace_publisher, millrace_importer, millrace_admin;
