-- Gives whoever may use the schema and the tables of the generation that serves the same in another one: those who write inline, for one.
CREATE OR REPLACE FUNCTION millrace.copy_privileges(p_projection text, p_generation int) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_new     name := (millrace.find_generation(p_projection, p_generation)).schema_name;
    v_old     name := (
        SELECT g.schema_name
        FROM millrace.projections AS p
        JOIN millrace.projection_generations AS g ON g.projection = p.projection AND g.generation = p.serving
        WHERE p.projection = p_projection
    );
    v_granted record;
BEGIN
    FOR v_granted IN
        SELECT format('SCHEMA %I', v_new) AS object, a.privilege_type AS type, a.grantee
        FROM pg_namespace AS n CROSS JOIN LATERAL aclexplode(n.nspacl) AS a
        WHERE n.nspname = v_old AND a.grantee <> n.nspowner
        UNION ALL
        SELECT format(CASE c.relkind WHEN 'S' THEN 'SEQUENCE %I.%I' ELSE 'TABLE %I.%I' END, v_new, c.relname), a.privilege_type, a.grantee
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = v_old
        CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE a.grantee <> c.relowner AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
          AND EXISTS (
              SELECT
              FROM pg_class AS t JOIN pg_namespace AS m ON m.oid = t.relnamespace AND m.nspname = v_new
              WHERE t.relname = c.relname AND t.relkind = c.relkind
          )
    LOOP
        EXECUTE format(
            'GRANT %s ON %s TO %s', v_granted.type, v_granted.object,
            CASE v_granted.grantee WHEN 0 THEN 'PUBLIC' ELSE v_granted.grantee::regrole::text END
        );
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION millrace.copy_privileges(text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.copy_privileges(text, int) TO millrace_consumer, millrace_admin;
