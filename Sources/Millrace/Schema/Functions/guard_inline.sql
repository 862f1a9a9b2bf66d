-- From here on, an append that an inline projection wants is refused (MR027) unless its transaction has said with begin_inline that it
-- projects. A trigger for each projection, and not a row that the trigger looks up: which triggers there are a transaction sees at once,
-- however old its snapshot is. Making it waits for the appends that are under way, so none of them is left out.
CREATE OR REPLACE FUNCTION millrace.guard_inline(p_projection text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_trigger name := 'projects_inline_' || p_projection;
BEGIN
    PERFORM millrace.check_projection_owner(p_projection);
    IF NOT EXISTS (SELECT FROM millrace.projections AS p WHERE p.projection = p_projection AND p.mode = 'inline')
       OR EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = 'millrace.events'::regclass AND t.tgname = v_trigger) THEN
        RETURN;
    END IF;
    PERFORM set_config('lock_timeout', '200ms', true);
    EXECUTE format(
        'CREATE TRIGGER %I AFTER INSERT ON millrace.events REFERENCING NEW TABLE AS new_events FOR EACH STATEMENT '
        'EXECUTE FUNCTION millrace.check_inline(%L)', v_trigger, p_projection
    );
    EXECUTE format('ALTER TABLE millrace.events ENABLE ALWAYS TRIGGER %I', v_trigger);
END
$$;

REVOKE ALL ON FUNCTION millrace.guard_inline(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.guard_inline(text) TO millrace_consumer, millrace_admin;
