-- Element by element.
CREATE OR REPLACE FUNCTION millrace.add_counts(p_left bigint[], p_right bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE STRICT SECURITY INVOKER
AS $$
    SELECT array_agg(n.a + n.b ORDER BY n.index) FROM unnest(p_left, p_right) WITH ORDINALITY AS n (a, b, index)
$$;

REVOKE ALL ON FUNCTION millrace.add_counts(bigint[], bigint[]) FROM PUBLIC;
