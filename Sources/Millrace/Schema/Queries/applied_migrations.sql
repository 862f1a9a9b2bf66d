SELECT m.version, m.name, m.checksum
FROM millrace.schema_migrations AS m
ORDER BY m.version;
