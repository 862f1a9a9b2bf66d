-- Everything that a load of an aggregate is answered with, its further pages included; as Aggregate asks for it.
SELECT stream_version, snapshot_version, snapshot_state, snapshot_age,
       id, event_id, event_type, aggregate_type, aggregate_id, version,
       event_data, metadata, occurred_at, created_at, payload, content_type
FROM millrace.load_aggregate(
    $1, $2, (SELECT n.decider FROM millrace.snapshots AS n WHERE $3::boolean AND n.aggregate_type = $1 AND n.aggregate_id = $2), 1,
    1000000
)
