-- Sessions of this name in this database: when they are gone, what they counted is counted.
SELECT count(*) FROM pg_stat_activity AS a WHERE a.datname = current_database() AND a.application_name = $1
