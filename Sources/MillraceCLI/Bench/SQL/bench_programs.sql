-- The folder of the server's programs, for who may know it.
SELECT c.setting FROM pg_config AS c WHERE c.name = 'BINDIR'
