INSERT INTO millrace.schema_functions AS f (checksum)
VALUES ($1)
ON CONFLICT ON CONSTRAINT schema_functions_pkey DO UPDATE
    SET checksum = excluded.checksum,
        created_at = clock_timestamp();
