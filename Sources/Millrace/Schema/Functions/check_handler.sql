-- Refuses what a handler cannot be registered with, by the name of the field (MR011).
CREATE OR REPLACE FUNCTION millrace.check_handler(
    p_kind            text,
    p_function        text,
    p_event_types     text[],
    p_aggregate_types text[],
    p_lanes           int,
    p_audit           text,
    p_max_attempts    int,
    p_first_wait_ms   int,
    p_longest_wait_ms int,
    p_parked_limit    int
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
    v_problem text;
    v_hint    text;
BEGIN
    SELECT c.problem, c.hint INTO v_problem, v_hint
    FROM (VALUES
        (p_kind IN ('swift', 'sql'), format('p_kind is %L', p_kind), 'Give swift or sql.'),
        ((p_kind = 'sql') = (p_function IS NOT NULL), format('p_function is %L for a handler of the kind %s', p_function, p_kind),
            'A handler of the kind sql has a function, and no other.'),
        (p_event_types IS NULL OR cardinality(p_event_types) > 0, 'p_event_types is empty', 'Give at least one, or NULL for every type.'),
        (p_aggregate_types IS NULL OR cardinality(p_aggregate_types) > 0, 'p_aggregate_types is empty',
            'Give at least one, or NULL for every type.'),
        (p_lanes BETWEEN 1 AND 1024, format('p_lanes is %s', coalesce(p_lanes::text, 'missing')), 'Give a number from 1 to 1024.'),
        (p_audit IN ('all', 'failures', 'none'), format('p_audit is %L', p_audit), 'Give all, failures or none.'),
        (p_max_attempts > 0, format('p_max_attempts is %s', coalesce(p_max_attempts::text, 'missing')), 'Give at least 1.'),
        (p_first_wait_ms >= 0, format('p_first_wait_ms is %s', coalesce(p_first_wait_ms::text, 'missing')), 'Give at least 0.'),
        (p_longest_wait_ms >= p_first_wait_ms, format('p_longest_wait_ms is %s', coalesce(p_longest_wait_ms::text, 'missing')),
            'Give at least p_first_wait_ms.'),
        (p_parked_limit > 0, format('p_parked_limit is %s', coalesce(p_parked_limit::text, 'missing')), 'Give at least 1.')
    ) AS c (holds, problem, hint)
    WHERE c.holds IS NOT TRUE
    LIMIT 1;
    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'MR011', MESSAGE = v_problem, HINT = v_hint;
    END IF;

    PERFORM millrace.refuse_name(format('%s[%s]', n.field, n.index), n.name, NULL)
    FROM (
        SELECT 'p_event_types', e.name, e.index FROM unnest(p_event_types) WITH ORDINALITY AS e (name, index)
        UNION ALL
        SELECT 'p_aggregate_types', a.name, a.index FROM unnest(p_aggregate_types) WITH ORDINALITY AS a (name, index)
    ) AS n (field, name, index)
    WHERE (char_length(n.name) BETWEEN 1 AND 255) IS NOT TRUE;
END
$$;

REVOKE ALL ON FUNCTION millrace.check_handler(text, text, text[], text[], int, text, int, int, int, int) FROM PUBLIC;
