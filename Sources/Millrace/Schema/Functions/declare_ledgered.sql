-- From now on each event of these aggregate types carries the hash of the one before it in its stream, for ever: there is no way back, because a chain
-- that may stop proves nothing. Answers which of them were not declared before. Appends that are under way may still store events
-- without; after the first event of a stream that has hashes, all have.
CREATE OR REPLACE FUNCTION millrace.declare_ledgered(p_aggregate_types text[]) RETURNS text[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, millrace, pg_temp
AS $$
DECLARE
    v_new text[];
BEGIN
    PERFORM millrace.require_ledger();
    IF EXISTS (
        SELECT FROM unnest(p_aggregate_types) AS n (name) WHERE (char_length(n.name) BETWEEN 1 AND 255) IS NOT TRUE
    ) OR p_aggregate_types IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'MR001',
            MESSAGE = 'an aggregate_type is missing, empty or too long',
            HINT = 'A name has 1 to 255 characters.';
    END IF;
    PERFORM FROM millrace.store AS s FOR UPDATE;
    SELECT coalesce(array_agg(DISTINCT n.name), '{}') INTO v_new
    FROM unnest(p_aggregate_types) AS n (name), millrace.store AS s
    WHERE n.name <> ALL (s.ledgered_types);
    IF cardinality(v_new) > 0 THEN
        UPDATE millrace.store AS s SET ledgered_types = s.ledgered_types || v_new;
        PERFORM millrace.record_act('types_declared', NULL, NULL, jsonb_build_object('aggregate_types', v_new));
    END IF;
    RETURN v_new;
END
$$;

REVOKE ALL ON FUNCTION millrace.declare_ledgered(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.declare_ledgered(text[]) TO millrace_admin;
