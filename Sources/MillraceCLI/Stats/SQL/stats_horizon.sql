-- Asked for before stats_positions, in a statement of its own.
SELECT millrace.horizon() AS horizon, millrace.latest_position() AS latest
