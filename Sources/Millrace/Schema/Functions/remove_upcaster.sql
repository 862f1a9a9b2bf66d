-- Events of a type and version are read as they are stored again. Whether there was an upcaster. NULL as p_schema_version is the one for every
-- version, and no other.
CREATE OR REPLACE FUNCTION millrace.remove_upcaster(p_event_type text, p_schema_version int DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    DELETE FROM millrace.event_upcasters AS u
    WHERE u.event_type = p_event_type AND u.schema_version IS NOT DISTINCT FROM p_schema_version;
    RETURN FOUND;
END
$$;

REVOKE ALL ON FUNCTION millrace.remove_upcaster(text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.remove_upcaster(text, int) TO millrace_admin;
