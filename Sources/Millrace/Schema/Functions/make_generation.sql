-- Makes what a new generation writes to, as the projection's owner, whom the caller must be able to act as: a schema of its own, the tables in it and, where functions write them, the one
-- function that its handler runs: each stage after the other, with the generation's schema first in their search_path. So they name their
-- tables without a schema, and have no search_path of their own.
CREATE OR REPLACE FUNCTION millrace.make_generation(p_projection text, p_generation int) RETURNS void
-- Without a search_path of its own: what is given is looked up in the caller's.
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_path       pg_catalog.text := pg_catalog.current_setting('search_path');
    v_role       pg_catalog.text := pg_catalog.current_setting('role');
    v_generation millrace.projection_generations := millrace.find_generation(p_projection, p_generation);
    v_inner      pg_catalog.text := pg_catalog.concat_ws(', ', pg_catalog.quote_ident(v_generation.schema_name), nullif(v_path, ''));
    v_stages     pg_catalog.text;
    v_function   pg_catalog.record;
BEGIN
    PERFORM pg_catalog.set_config('role', p.owner::pg_catalog.text, true)
    FROM millrace.projections AS p WHERE p.projection OPERATOR(pg_catalog.=) p_projection;
    EXECUTE pg_catalog.format('CREATE SCHEMA %I', v_generation.schema_name);
    PERFORM pg_catalog.set_config('search_path', v_inner, true);
    EXECUTE v_generation.tables;
    PERFORM pg_catalog.set_config('search_path', v_path, true);
    IF NOT EXISTS (
        SELECT
        FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
        WHERE n.nspname OPERATOR(pg_catalog.=) v_generation.schema_name
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR026',
            MESSAGE = pg_catalog.format('the statements of %L make nothing in its schema', p_projection),
            HINT = 'CREATE TABLE its tables without naming a schema: they are made anew for each time that it is built.';
    END IF;
    PERFORM millrace.copy_privileges(p_projection, p_generation);
    IF v_generation.functions IS NULL THEN
        PERFORM pg_catalog.set_config('role', v_role, true);
        RETURN;
    END IF;

    FOR v_function IN
        SELECT c.name, c.owner
        FROM pg_catalog.unnest(v_generation.functions) WITH ORDINALITY AS f (given, stage)
        CROSS JOIN LATERAL millrace.check_sql_function(
            'handler', millrace.find_sql_function('handler', f.given), f.given
        ) AS c
        ORDER BY f.stage
    LOOP
        IF NOT pg_catalog.pg_has_role(v_function.owner, current_user, 'MEMBER') THEN
            RAISE EXCEPTION USING
                ERRCODE = 'MR018',
                MESSAGE = pg_catalog.format('the function %s belongs to %s, who may not act as %I', v_function.name,
                                            v_function.owner::pg_catalog.regrole, current_user),
                HINT = 'Register the projection as a role that its functions'' owners are members of.';
        END IF;
        v_stages := pg_catalog.concat(v_stages, 'PERFORM ', v_function.name, '(event); ');
    END LOOP;
    EXECUTE pg_catalog.format(
        'CREATE FUNCTION %I.project(event millrace.events) RETURNS pg_catalog.void LANGUAGE plpgsql VOLATILE '
        'SET search_path = %s AS %L',
        -- No SET clause for the other setting: only a superuser may make a function with that.
        v_generation.schema_name, v_inner, pg_catalog.concat(
            'DECLARE v_before pg_catalog.text := pg_catalog.current_setting(''millrace.projecting'', true); BEGIN ',
            CASE WHEN v_generation.sample OPERATOR(pg_catalog.<) 1000 THEN pg_catalog.format(
                'IF millrace.lane_of(event.aggregate_type, event.aggregate_id, 1000) OPERATOR(pg_catalog.>=) %s THEN RETURN; END IF; ',
                v_generation.sample
            ) END,
            pg_catalog.format('PERFORM pg_catalog.set_config(''millrace.projecting'', %L, true); ', v_generation.handler_id),
            v_stages, 'PERFORM pg_catalog.set_config(''millrace.projecting'', coalesce(v_before, ''''), true); END'
        )
    );
    PERFORM pg_catalog.set_config('role', v_role, true);
END
$$;

REVOKE ALL ON FUNCTION millrace.make_generation(text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.make_generation(text, int) TO millrace_consumer, millrace_admin;
