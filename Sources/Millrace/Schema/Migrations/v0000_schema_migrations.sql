-- What has been run here, so that it is run once. Not a migration itself but the ground they stand on: it is run first every
-- time, and changes nothing the second time. A checksum shows a migration that was edited after it had been run.
CREATE SCHEMA IF NOT EXISTS millrace;

CREATE TABLE IF NOT EXISTS millrace.schema_migrations (
    version    int         NOT NULL,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT schema_migrations_pkey PRIMARY KEY (version)
);

-- The functions are re-created as a whole whenever their hash is another one.
CREATE TABLE IF NOT EXISTS millrace.schema_functions (
    only_row   boolean     NOT NULL DEFAULT true,
    checksum   text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT schema_functions_pkey PRIMARY KEY (only_row),
    CONSTRAINT schema_functions_has_one_row CHECK (only_row)
);
