-- The trigger of the views of projections: what is written through them would be gone with the next generation, and twice in this one.
CREATE OR REPLACE FUNCTION millrace.refuse_write() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'MR026',
        MESSAGE = format('%I.%I is a view of a projection, which only its events change', TG_TABLE_SCHEMA, TG_TABLE_NAME),
        HINT = 'In a projection''s own code name the table without a schema.';
END
$$;

REVOKE ALL ON FUNCTION millrace.refuse_write() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.refuse_write() TO millrace_consumer, millrace_admin;
