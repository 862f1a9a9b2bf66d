-- Where two states differ, one row a place, in the order of the paths: objects are compared by key, arrays by index, whatever their depth. before
-- is NULL where the place is new, after where it is gone; JSON null is a value. A path reads customer.address[2].city; a key with anything
-- in it that would be misread stands in brackets and quotes: customer["first name"]. Empty: the state itself, where one of the two is no
-- object or array, or no state (NULL), which is compared as an object without keys where the other one has some.
CREATE OR REPLACE FUNCTION millrace.state_difference(p_before jsonb, p_after jsonb) RETURNS TABLE (path text, before jsonb, after jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE places AS (
        -- place is the path as it is sorted: an index of many digits comes after one of few.
        SELECT ARRAY[]::text[] AS place, '' AS path,
               CASE WHEN p_before IS NULL AND jsonb_typeof(p_after) = 'object' AND p_after <> '{}' THEN '{}' ELSE p_before END AS before,
               CASE WHEN p_after IS NULL AND jsonb_typeof(p_before) = 'object' AND p_before <> '{}' THEN '{}' ELSE p_after END AS after
        UNION ALL
        SELECT p.place || c.place,
               CASE WHEN p.path = '' THEN ltrim(c.path, '.') ELSE p.path || c.path END,
               c.before, c.after
        FROM places AS p
        CROSS JOIN LATERAL (
            SELECT k.key,
                   CASE WHEN k.key ~ '^[^]."''\\[:space:][:cntrl:][]+$' THEN '.' || k.key ELSE format('[%s]', to_jsonb(k.key)) END,
                   p.before -> k.key, p.after -> k.key
            FROM (
                SELECT jsonb_object_keys(CASE jsonb_typeof(p.before) WHEN 'object' THEN p.before END)
                UNION
                SELECT jsonb_object_keys(CASE jsonb_typeof(p.after) WHEN 'object' THEN p.after END)
            ) AS k (key)
            WHERE jsonb_typeof(p.before) = 'object' AND jsonb_typeof(p.after) = 'object'
            UNION ALL
            SELECT to_char(i.index, 'FM0000000000'), format('[%s]', i.index), p.before -> i.index, p.after -> i.index
            FROM generate_series(0, greatest(
                jsonb_array_length(CASE jsonb_typeof(p.before) WHEN 'array' THEN p.before END),
                jsonb_array_length(CASE jsonb_typeof(p.after) WHEN 'array' THEN p.after END)
            ) - 1) AS i (index)
            WHERE jsonb_typeof(p.before) = 'array' AND jsonb_typeof(p.after) = 'array'
        ) AS c (place, path, before, after)
        WHERE p.before <> p.after
    )
    SELECT p.path, p.before, p.after
    FROM places AS p
    WHERE p.before IS DISTINCT FROM p.after
      AND (jsonb_typeof(p.before) = jsonb_typeof(p.after) AND jsonb_typeof(p.before) IN ('object', 'array')) IS NOT TRUE
    ORDER BY p.place COLLATE "C"
$$;

REVOKE ALL ON FUNCTION millrace.state_difference(jsonb, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millrace.state_difference(jsonb, jsonb) TO millrace_publisher, millrace_consumer, millrace_importer, millrace_admin;
