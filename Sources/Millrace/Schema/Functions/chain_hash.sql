-- As a window function over the events of a stream in their order: the hash of each.
CREATE OR REPLACE AGGREGATE millrace.chain_hash(p_head bytea, p_form bytea) (SFUNC = millrace.next_hash, STYPE = bytea);

REVOKE ALL ON FUNCTION millrace.chain_hash(bytea, bytea) FROM PUBLIC;
