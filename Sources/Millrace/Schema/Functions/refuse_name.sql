-- The one sentence about a bad name, whoever found it. p_index counts from 1 within an array, NULL outside of one.
CREATE OR REPLACE FUNCTION millrace.refuse_name(p_field text, p_name text, p_index bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'MR001',
        MESSAGE = format('%s%s is %s', p_field, coalesce(' of event ' || p_index, ''),
                         CASE
                             WHEN p_name IS NULL THEN 'missing'
                             WHEN p_name = '' THEN 'empty'
                             ELSE char_length(p_name) || ' characters long'
                         END),
        HINT = 'A name has 1 to 255 characters.';
END
$$;

REVOKE ALL ON FUNCTION millrace.refuse_name(text, text, bigint) FROM PUBLIC;
