-- The first of the two statements with which the library reads a page of the log, in one transaction and one round trip: it
-- leaves the page's bounds in settings of this transaction, and the second, a plain SELECT, reads between them with a newer
-- snapshot. So the events go to the client as they are found; as rows of a function (read_page) they are stored twice on the
-- way, which measured a third of the rate.
--
-- The settings need no trust: whoever may call this may read the table. One plan for all pages, in the partitions' own order.
CREATE OR REPLACE FUNCTION millrace.begin_page(p_after bigint, OUT horizon bigint, OUT up_to bigint, OUT epoch uuid)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_settings text;
BEGIN
    SELECT b.horizon, b.up_to, s.epoch,
           set_config('millrace.page_up_to', b.up_to::text, true)
               || set_config('millrace.page_stored_from', b.stored_from::text, true)
               || set_config('millrace.page_stored_before', b.stored_before::text, true)
               || set_config('millrace.page_open_since', b.open_since::text, true)
    INTO STRICT horizon, up_to, epoch, v_settings
    FROM millrace.page_bounds(p_after) AS b, millrace.store AS s;
    v_settings := set_config('plan_cache_mode', 'force_generic_plan', true) || set_config('enable_seqscan', 'off', true)
        || set_config('enable_bitmapscan', 'off', true) || set_config('enable_sort', 'off', true);
END
$$;

REVOKE ALL ON FUNCTION millrace.begin_page(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.begin_page(bigint) TO millrace_consumer, millrace_admin;
