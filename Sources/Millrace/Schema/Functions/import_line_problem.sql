-- Why a line of an import is no event; NULL where its fields have the right types. Limits are check_batch's to know.
--
-- A field nobody knows is refused, because a misspelt one would be lost in silence. Those of a stored event are all known,
-- so that what was read from one store can be imported into another; id, version and created_at are given anew there.
-- occurred_at is RFC 3339 and nothing else: PostgreSQL itself also takes "tomorrow", and local times.
--
-- Inlined, as import_fields is: hence no subquery, which would make it four times as slow.
CREATE OR REPLACE FUNCTION millrace.import_line_problem(p_line jsonb) RETURNS text
LANGUAGE sql STABLE SECURITY INVOKER
AS $$
    SELECT CASE
        WHEN pg_catalog.jsonb_typeof(p_line) <> 'object'
            THEN pg_catalog.format('the line is a JSON %s, not an object', pg_catalog.jsonb_typeof(p_line))
        WHEN p_line - '{event_type,aggregate_type,aggregate_id,event_data,occurred_at,metadata,event_id}'::text[]
                    - '{payload,content_type,id,version,created_at}'::text[] <> '{}'
            THEN pg_catalog.format('there is no such field: %s', pg_catalog.left((
                p_line - '{event_type,aggregate_type,aggregate_id,event_data,occurred_at,metadata,event_id}'::text[]
                       - '{payload,content_type,id,version,created_at}'::text[])::text, 200))
        WHEN NOT p_line ? 'event_type' THEN 'event_type is missing'
        WHEN NOT p_line ? 'aggregate_type' THEN 'aggregate_type is missing'
        WHEN NOT p_line ? 'aggregate_id' THEN 'aggregate_id is missing'
        WHEN NOT p_line ? 'event_data' AND coalesce(p_line -> 'payload', 'null') = 'null'
            THEN 'event_data is missing'
        WHEN pg_catalog.jsonb_typeof(p_line -> 'event_type') <> 'string'
            THEN pg_catalog.format('event_type is a JSON %s, not a string', pg_catalog.jsonb_typeof(p_line -> 'event_type'))
        WHEN pg_catalog.jsonb_typeof(p_line -> 'aggregate_type') <> 'string'
            THEN pg_catalog.format('aggregate_type is a JSON %s, not a string', pg_catalog.jsonb_typeof(p_line -> 'aggregate_type'))
        WHEN pg_catalog.jsonb_typeof(p_line -> 'aggregate_id') <> 'string'
            THEN pg_catalog.format('aggregate_id is a JSON %s, not a string', pg_catalog.jsonb_typeof(p_line -> 'aggregate_id'))
        WHEN pg_catalog.jsonb_typeof(p_line -> 'metadata') NOT IN ('object', 'null')
            THEN pg_catalog.format('metadata is a JSON %s, not an object', pg_catalog.jsonb_typeof(p_line -> 'metadata'))
        WHEN pg_catalog.jsonb_typeof(p_line -> 'event_id') <> 'null'
             AND NOT (pg_catalog.jsonb_typeof(p_line -> 'event_id') = 'string'
                      AND pg_catalog.pg_input_is_valid(p_line ->> 'event_id', 'uuid'))
            THEN 'event_id is not a UUID'
        WHEN pg_catalog.jsonb_typeof(p_line -> 'occurred_at') <> 'null'
             AND NOT (pg_catalog.jsonb_typeof(p_line -> 'occurred_at') = 'string'
                      AND p_line ->> 'occurred_at' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$'
                      AND pg_catalog.pg_input_is_valid(p_line ->> 'occurred_at', 'timestamptz'))
            THEN 'occurred_at is not an RFC 3339 time such as 2026-01-31T12:00:00Z'
        WHEN pg_catalog.jsonb_typeof(p_line -> 'content_type') NOT IN ('string', 'null')
            THEN 'content_type is not a string'
        WHEN pg_catalog.jsonb_typeof(p_line -> 'payload') <> 'null'
             AND NOT (pg_catalog.jsonb_typeof(p_line -> 'payload') = 'string'
                      AND pg_catalog.length(p_line ->> 'payload') % 4 = 0
                      AND p_line ->> 'payload' ~ '^[A-Za-z0-9+/]*={0,2}$')
            THEN 'payload is not base64'
    END
$$;

REVOKE ALL ON FUNCTION millrace.import_line_problem(jsonb) FROM PUBLIC;
