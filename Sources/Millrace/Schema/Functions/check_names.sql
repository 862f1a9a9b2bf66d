-- The names of streams that are given as two arrays.
CREATE OR REPLACE FUNCTION millrace.check_names(p_aggregate_types text[], p_aggregate_ids text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_bad record;
BEGIN
    IF cardinality(p_aggregate_types) IS DISTINCT FROM cardinality(p_aggregate_ids) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR004',
            MESSAGE = format('%s aggregate types and %s aggregate ids were given',
                             coalesce(cardinality(p_aggregate_types), 0), coalesce(cardinality(p_aggregate_ids), 0)),
            HINT = 'Give both arrays one element a stream.';
    END IF;

    SELECT n.* INTO v_bad
    FROM unnest(p_aggregate_types, p_aggregate_ids) WITH ORDINALITY AS n (aggregate_type, aggregate_id, index)
    WHERE (char_length(n.aggregate_type) BETWEEN 1 AND 255 AND char_length(n.aggregate_id) BETWEEN 1 AND 255) IS NOT TRUE
    ORDER BY n.index
    LIMIT 1;

    IF FOUND AND (char_length(v_bad.aggregate_type) BETWEEN 1 AND 255) IS NOT TRUE THEN
        PERFORM millrace.refuse_name('aggregate_type', v_bad.aggregate_type, v_bad.index);
    ELSIF FOUND THEN
        PERFORM millrace.refuse_name('aggregate_id', v_bad.aggregate_id, v_bad.index);
    END IF;
END
$$;

REVOKE ALL ON FUNCTION millrace.check_names(text[], text[]) FROM PUBLIC;
