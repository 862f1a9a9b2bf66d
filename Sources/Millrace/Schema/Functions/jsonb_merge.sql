-- The default reducer: objects laid over each other, later keys over earlier ones.
CREATE OR REPLACE AGGREGATE millrace.jsonb_merge(jsonb) (
    SFUNC = pg_catalog.jsonb_concat,
    STYPE = jsonb,
    INITCOND = '{}'
);

REVOKE ALL ON FUNCTION millrace.jsonb_merge(jsonb) FROM PUBLIC;
