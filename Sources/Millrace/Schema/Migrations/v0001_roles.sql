-- Who may do what is said in roles, so that a grant is one line wherever Millrace runs. Roles belong to the whole
-- cluster, not to this database: another database may have made them already, or may be making them in this very moment,
-- which shows as duplicate_object or, in a race, as unique_violation.
DO $$
DECLARE
    v_role text;
BEGIN
    FOREACH v_role IN ARRAY ARRAY['millrace_publisher', 'millrace_consumer', 'millrace_importer', 'millrace_admin'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = v_role) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', v_role);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA millrace TO millrace_publisher, millrace_consumer, millrace_importer, millrace_admin;
-- What a dry run of the migrator reads.
GRANT SELECT ON millrace.schema_migrations, millrace.schema_functions TO millrace_admin;
