-- The events of a type of aggregate are merged again. Whether there was a reducer.
CREATE OR REPLACE FUNCTION millrace.remove_reducer(p_aggregate_type text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    DELETE FROM millrace.aggregate_reducers AS r WHERE r.aggregate_type = p_aggregate_type;
    RETURN FOUND;
END
$$;

REVOKE ALL ON FUNCTION millrace.remove_reducer(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.remove_reducer(text) TO millrace_admin;
