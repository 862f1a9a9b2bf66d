-- The first step of a transaction that appends and projects inline: before its first append. Answers the generations that serve inline, with what
-- they want; those that functions write, and of the others those whose projection and version the caller has named. From here to its end
-- none of them is swapped. An append of an event that another one wants is refused (MR027).
CREATE OR REPLACE FUNCTION millrace.begin_inline(p_projections text[] DEFAULT NULL, p_versions int[] DEFAULT NULL)
RETURNS TABLE (projection text, version int, handler_id text, lanes int, function text, event_types text[], aggregate_types text[])
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_name    text;
    v_covered text[] := '{}';
BEGIN
    FOR v_name IN SELECT p.projection FROM millrace.projections AS p WHERE p.mode = 'inline' ORDER BY p.projection LOOP
        PERFORM pg_advisory_xact_lock_shared(x'4D52'::int, hashtext('appends to ' || v_name));
        -- A snapshot that is older than the last swap would show what served before it: 40001 then.
        IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
            PERFORM FROM millrace.projections AS p WHERE p.projection = v_name FOR SHARE;
        END IF;
        SELECT g.projection, g.version, h.handler_id, h.lanes, h.function, h.event_types, h.aggregate_types
        INTO projection, version, handler_id, lanes, function, event_types, aggregate_types
        FROM millrace.projection_generations AS g JOIN millrace.event_handlers AS h ON h.handler_id = g.handler_id
        WHERE g.projection = v_name AND g.state = 'serving';
        IF NOT FOUND THEN
            -- What is appended now is read from the log by whoever builds the first.
            v_covered := v_covered || v_name;
        ELSIF function IS NOT NULL OR EXISTS (
            SELECT FROM unnest(p_projections, p_versions) AS c (name, version)
            WHERE c.name = v_name AND c.version = begin_inline.version
        ) THEN
            v_covered := v_covered || v_name;
            RETURN NEXT;
        END IF;
    END LOOP;
    PERFORM set_config('millrace.inline', array_to_string(v_covered, ','), true);
END
$$;

REVOKE ALL ON FUNCTION millrace.begin_inline(text[], int[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.begin_inline(text[], int[]) TO millrace_publisher, millrace_importer, millrace_admin;
