-- Lets the views of a projection show a generation's relations, as the projection's owner: one view each, under the same name. A view keeps its
-- privileges; where its columns allow it it is replaced in place, and what depends on it stays; where
-- they do not and something depends on it, or a name is something else's, nothing is changed (MR026).
CREATE OR REPLACE FUNCTION millrace.publish_generation(p_projection text, p_generation int) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_generation millrace.projection_generations := millrace.find_generation(p_projection, p_generation);
    v_schema     name := (SELECT p.published_in FROM millrace.projections AS p WHERE p.projection = p_projection);
    v_schemas    name[] := ARRAY(SELECT g.schema_name FROM millrace.projection_generations AS g WHERE g.projection = p_projection);
    v_view       record;
    v_privilege  record;
    v_dependents text;
    v_role       text := current_setting('role');
    v_options    text;
BEGIN
    PERFORM set_config('role', p.owner::text, true) FROM millrace.projections AS p WHERE p.projection = p_projection;
    FOR v_view IN
        WITH wanted AS (
            SELECT c.relname AS name
            FROM pg_class AS c
            WHERE c.relnamespace = to_regnamespace(quote_ident(v_generation.schema_name)) AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
        ), present AS (
            SELECT c.relname AS name, c.oid, c.relacl, c.relowner, c.reloptions, c.relkind = 'v' AND EXISTS (
                SELECT
                FROM pg_class AS o JOIN pg_namespace AS m ON m.oid = o.relnamespace AND m.nspname = ANY (v_schemas)
                WHERE o.relname = c.relname
            ) AND EXISTS (
                SELECT
                FROM pg_rewrite AS r
                JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
                JOIN pg_class AS u ON u.oid = d.refobjid
                JOIN pg_namespace AS n ON n.oid = u.relnamespace
                WHERE r.ev_class = c.oid AND n.nspname = ANY (v_schemas)
            ) AS is_ours
            FROM pg_class AS c
            WHERE c.relnamespace = to_regnamespace(quote_ident(v_schema))
        )
        SELECT coalesce(w.name, p.name) AS name, w.name IS NOT NULL AS is_wanted, p.oid, p.relacl, p.relowner, p.reloptions, p.is_ours
        FROM wanted AS w FULL JOIN present AS p ON p.name = w.name
        WHERE w.name IS NOT NULL OR p.is_ours
        ORDER BY 1
    LOOP
        IF NOT v_view.is_wanted THEN
            EXECUTE format('DROP VIEW %I.%I', v_schema, v_view.name);
            CONTINUE;
        ELSIF v_view.oid IS NOT NULL AND NOT v_view.is_ours THEN
            RAISE EXCEPTION USING
                ERRCODE = 'MR026',
                MESSAGE = format('%I.%I is there already, and is no view of the projection %L', v_schema, v_view.name, p_projection),
                HINT = 'Name the projection''s table otherwise, or rename what is there.';
        END IF;
        v_options := coalesce(' WITH (' || array_to_string(v_view.reloptions, ', ') || ')', '');
        BEGIN
            EXECUTE format('CREATE OR REPLACE VIEW %I.%I' || v_options || ' AS SELECT * FROM %I.%I', v_schema, v_view.name, v_generation.schema_name, v_view.name);
        EXCEPTION WHEN invalid_table_definition THEN
            EXECUTE format('DROP VIEW %I.%I', v_schema, v_view.name);
            EXECUTE format('CREATE VIEW %I.%I' || v_options || ' AS SELECT * FROM %I.%I', v_schema, v_view.name, v_generation.schema_name, v_view.name);
            FOR v_privilege IN
                SELECT a.privilege_type AS type, a.grantee, a.is_grantable
                FROM aclexplode(v_view.relacl) AS a
                WHERE a.grantee <> v_view.relowner
            LOOP
                EXECUTE format(
                    'GRANT %s ON %I.%I TO %s%s', v_privilege.type, v_schema, v_view.name,
                    CASE v_privilege.grantee WHEN 0 THEN 'PUBLIC' ELSE v_privilege.grantee::regrole::text END,
                    CASE WHEN v_privilege.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
                );
            END LOOP;
        END;
        EXECUTE format(
            'CREATE OR REPLACE TRIGGER is_read_only INSTEAD OF INSERT OR UPDATE OR DELETE ON %I.%I '
            'FOR EACH ROW EXECUTE FUNCTION millrace.refuse_write()', v_schema, v_view.name
        );
    END LOOP;
    PERFORM set_config('role', v_role, true);
EXCEPTION WHEN dependent_objects_still_exist THEN
    GET STACKED DIAGNOSTICS v_dependents = PG_EXCEPTION_DETAIL;
    RAISE EXCEPTION USING
        ERRCODE = 'MR026',
        MESSAGE = format(
            'generation %s of %L has other columns in %I.%I, or is without it, and something depends on that view',
            p_generation, p_projection, v_schema, v_view.name
        ),
        DETAIL = v_dependents,
        HINT = 'Drop what depends on it (the detail names it), swap, and create it anew; or only add columns behind the others.';
END
$$;

REVOKE ALL ON FUNCTION millrace.publish_generation(text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.publish_generation(text, int) TO millrace_consumer, millrace_admin;
