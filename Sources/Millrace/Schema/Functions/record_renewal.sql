-- Records that a forgotten subject has a key again, wherever keys are kept.
CREATE OR REPLACE FUNCTION millrace.record_renewal(p_subject text, p_reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    PERFORM millrace.check_subject(p_subject, p_reason);
    PERFORM millrace.record_act('subject_renewed', p_subject, p_reason);
END
$$;

REVOKE ALL ON FUNCTION millrace.record_renewal(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.record_renewal(text, text) TO millrace_admin;
