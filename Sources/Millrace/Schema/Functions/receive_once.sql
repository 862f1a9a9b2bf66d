-- Whether a key comes to a receiver for the first time. Together with the effect, in one transaction: true, and the effect is to be had; false,
-- and it was had before. Another transaction that has just said true for the same key is waited for.
CREATE OR REPLACE FUNCTION millrace.receive_once(p_receiver text, p_key text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, millrace, pg_temp
AS $$
BEGIN
    IF (char_length(p_receiver) BETWEEN 1 AND 255) IS NOT TRUE THEN
        PERFORM millrace.refuse_name('p_receiver', p_receiver, NULL);
    ELSIF (char_length(p_key) BETWEEN 1 AND 255) IS NOT TRUE THEN
        PERFORM millrace.refuse_name('p_key', p_key, NULL);
    END IF;
    INSERT INTO millrace.inbox (receiver, key) VALUES (p_receiver, p_key) ON CONFLICT ON CONSTRAINT inbox_pkey DO NOTHING;
    RETURN FOUND;
END
$$;

REVOKE ALL ON FUNCTION millrace.receive_once(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.receive_once(text, text) TO millrace_consumer, millrace_admin;
