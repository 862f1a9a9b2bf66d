SELECT f.checksum
FROM millrace.schema_functions AS f;
