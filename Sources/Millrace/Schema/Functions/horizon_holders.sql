-- Who holds the horizon back, the one who holds it most first, and the command that settles it.
CREATE OR REPLACE VIEW millrace.horizon_holders AS
SELECT h.fence, h.positions_behind, h.pid, h.gid, h.owner, h.application_name, h.state, h.age, h.query, h.settle_with
FROM millrace.list_horizon_holders() AS h;

REVOKE ALL ON millrace.horizon_holders FROM PUBLIC;
GRANT SELECT ON millrace.horizon_holders TO millrace_consumer, millrace_admin;
