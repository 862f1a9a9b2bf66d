import MillracePostgres

// The order is written down and not the alphabet's: what is used stands above what uses it.
extension Migrator {
    /// Run once each, in this order, never edited.
    static let migrations: [SchemaScript] = [
        SchemaScript("v0001_roles", PackageResources.v0001_roles_sql),
        SchemaScript("v0002_store", PackageResources.v0002_store_sql),
        SchemaScript("v0003_streams", PackageResources.v0003_streams_sql),
        SchemaScript("v0004_events", PackageResources.v0004_events_sql),
        SchemaScript("v0005_imports", PackageResources.v0005_imports_sql),
        SchemaScript("v0006_immutability", PackageResources.v0006_immutability_sql),
        SchemaScript("v0007_closed_months", PackageResources.v0007_closed_months_sql),
        SchemaScript("v0008_advancing_streams", PackageResources.v0008_advancing_streams_sql),
        SchemaScript("v0009_import", PackageResources.v0009_import_sql),
        SchemaScript("v0010_handlers", PackageResources.v0010_handlers_sql),
    ]

    /// Re-created together whenever one of them differs.
    static let functions: [SchemaScript] = [
        SchemaScript("refuse_name", PackageResources.refuse_name_sql),
        SchemaScript("refuse_event", PackageResources.refuse_event_sql),
        SchemaScript("refuse_unseen_sequence", PackageResources.refuse_unseen_sequence_sql),
        SchemaScript("check_names", PackageResources.check_names_sql),
        SchemaScript("check_batch", PackageResources.check_batch_sql),
        SchemaScript("check_isolation", PackageResources.check_isolation_sql),
        SchemaScript("latest_position", PackageResources.latest_position_sql),
        SchemaScript("fence", PackageResources.fence_sql),
        SchemaScript("horizon", PackageResources.horizon_sql),
        SchemaScript("page_bounds", PackageResources.page_bounds_sql),
        SchemaScript("begin_page", PackageResources.begin_page_sql),
        SchemaScript("list_horizon_holders", PackageResources.list_horizon_holders_sql),
        SchemaScript("horizon_holders", PackageResources.horizon_holders_sql),
        SchemaScript("hold_streams", PackageResources.hold_streams_sql),
        SchemaScript("release_unborn_streams", PackageResources.release_unborn_streams_sql),
        SchemaScript("lock_streams", PackageResources.lock_streams_sql),
        SchemaScript("find_events", PackageResources.find_events_sql),
        SchemaScript("repeated_requests", PackageResources.repeated_requests_sql),
        SchemaScript("refused_requests", PackageResources.refused_requests_sql),
        SchemaScript("requests_are_entangled", PackageResources.requests_are_entangled_sql),
        SchemaScript("append_disentangled", PackageResources.append_disentangled_sql),
        SchemaScript("append_carefully", PackageResources.append_carefully_sql),
        SchemaScript("lowest_uuid", PackageResources.lowest_uuid_sql),
        SchemaScript("append_event", PackageResources.append_event_sql),
        SchemaScript("times_within_spans", PackageResources.times_within_spans_sql),
        SchemaScript("an_expectation_fails", PackageResources.an_expectation_fails_sql),
        SchemaScript("append_at_once", PackageResources.append_at_once_sql),
        SchemaScript("is_single", PackageResources.is_single_sql),
        SchemaScript("append_events", PackageResources.append_events_sql),
        SchemaScript("ring", PackageResources.ring_sql),
        SchemaScript("publish_checked", PackageResources.publish_checked_sql),
        SchemaScript("publish_event", PackageResources.publish_event_sql),
        SchemaScript("read_all", PackageResources.read_all_sql),
        SchemaScript("read_page", PackageResources.read_page_sql),
        SchemaScript("last_committed_position", PackageResources.last_committed_position_sql),
        SchemaScript("read_stream", PackageResources.read_stream_sql),
        SchemaScript("jsonb_merge", PackageResources.jsonb_merge_sql),
        SchemaScript("rebuild_aggregate", PackageResources.rebuild_aggregate_sql),
        SchemaScript("store_info", PackageResources.store_info_sql),
        SchemaScript("guard_partition", PackageResources.guard_partition_sql),
        SchemaScript("make_partition", PackageResources.make_partition_sql),
        SchemaScript("make_partitions", PackageResources.make_partitions_sql),
        SchemaScript("close_months", PackageResources.close_months_sql),
        SchemaScript("record_import", PackageResources.record_import_sql),
        SchemaScript("read_import", PackageResources.read_import_sql),
        SchemaScript("find_events_of_other_months", PackageResources.find_events_of_other_months_sql),
        SchemaScript("begin_import_chunk", PackageResources.begin_import_chunk_sql),
        SchemaScript("finish_import_chunk", PackageResources.finish_import_chunk_sql),
        SchemaScript("import_fields", PackageResources.import_fields_sql),
        SchemaScript("import_line_problem", PackageResources.import_line_problem_sql),
        SchemaScript("import_lines", PackageResources.import_lines_sql),
        SchemaScript("check_import_lines", PackageResources.check_import_lines_sql),
        SchemaScript("lane_of", PackageResources.lane_of_sql),
        SchemaScript("ring_handlers", PackageResources.ring_handlers_sql),
        SchemaScript("find_handler", PackageResources.find_handler_sql),
        SchemaScript("stored_from", PackageResources.stored_from_sql),
        SchemaScript("events_by_type", PackageResources.events_by_type_sql),
        SchemaScript("count_events", PackageResources.count_events_sql),
        SchemaScript("add_counts", PackageResources.add_counts_sql),
        SchemaScript("skip_to", PackageResources.skip_to_sql),
        SchemaScript("check_handler", PackageResources.check_handler_sql),
        SchemaScript("widen_handler", PackageResources.widen_handler_sql),
        SchemaScript("register_handler", PackageResources.register_handler_sql),
        SchemaScript("lease_lanes", PackageResources.lease_lanes_sql),
        SchemaScript("release_lanes", PackageResources.release_lanes_sql),
        SchemaScript("set_aside", PackageResources.set_aside_sql),
        SchemaScript("settle_lane", PackageResources.settle_lane_sql),
        SchemaScript("stop_handler", PackageResources.stop_handler_sql),
        SchemaScript("resume_handler", PackageResources.resume_handler_sql),
        SchemaScript("events_between", PackageResources.events_between_sql),
        SchemaScript("reset_handler", PackageResources.reset_handler_sql),
        SchemaScript("due_events", PackageResources.due_events_sql),
        SchemaScript("list_processing_stats", PackageResources.list_processing_stats_sql),
        SchemaScript("event_processing_stats", PackageResources.event_processing_stats_sql),
        SchemaScript("trim_audit", PackageResources.trim_audit_sql),
        SchemaScript("receive_once", PackageResources.receive_once_sql),
        SchemaScript("find_sql_handler", PackageResources.find_sql_handler_sql),
        SchemaScript("check_sql_function", PackageResources.check_sql_function_sql),
        SchemaScript("sql_handler_call", PackageResources.sql_handler_call_sql),
        SchemaScript("register_sql_handler", PackageResources.register_sql_handler_sql),
        SchemaScript("handling_begins", PackageResources.handling_begins_sql),
        SchemaScript("set_event_aside", PackageResources.set_event_aside_sql),
        SchemaScript("try_event", PackageResources.try_event_sql),
        SchemaScript("head_event", PackageResources.head_event_sql),
        SchemaScript("pass_event", PackageResources.pass_event_sql),
        SchemaScript("settle_tries", PackageResources.settle_tries_sql),
        SchemaScript("begin_sql_run", PackageResources.begin_sql_run_sql),
        SchemaScript("claim_due_event", PackageResources.claim_due_event_sql),
        SchemaScript("read_lane", PackageResources.read_lane_sql),
        SchemaScript("settle_sql_run", PackageResources.settle_sql_run_sql),
        SchemaScript("run_sql_handler", PackageResources.run_sql_handler_sql),
        SchemaScript("events_to_process", PackageResources.events_to_process_sql),
        SchemaScript("claim_event", PackageResources.claim_event_sql),
        SchemaScript("handled_up_to", PackageResources.handled_up_to_sql),
        SchemaScript("settle_processed", PackageResources.settle_processed_sql),
        SchemaScript("process_events_batch", PackageResources.process_events_batch_sql),
        SchemaScript("process_event", PackageResources.process_event_sql),
        SchemaScript("free_sql_lanes", PackageResources.free_sql_lanes_sql),
        SchemaScript("take_lane", PackageResources.take_lane_sql),
        SchemaScript("run_sql_handlers", PackageResources.run_sql_handlers_sql),
        SchemaScript("position_before", PackageResources.position_before_sql),
        SchemaScript("find_parked", PackageResources.find_parked_sql),
        SchemaScript("list_parked", PackageResources.list_parked_sql),
        SchemaScript("hold_parked", PackageResources.hold_parked_sql),
        SchemaScript("retry_parked", PackageResources.retry_parked_sql),
        SchemaScript("discard_parked", PackageResources.discard_parked_sql),
        SchemaScript("edited_data", PackageResources.edited_data_sql),
        SchemaScript("edit_parked", PackageResources.edit_parked_sql),
        SchemaScript("oldest_pending", PackageResources.oldest_pending_sql),
        SchemaScript("list_handlers", PackageResources.list_handlers_sql),
        SchemaScript("list_lanes", PackageResources.list_lanes_sql),
        SchemaScript("list_replays", PackageResources.list_replays_sql),
        SchemaScript("request_replay", PackageResources.request_replay_sql),
        SchemaScript("cancel_replay", PackageResources.cancel_replay_sql),
        SchemaScript("replay_event", PackageResources.replay_event_sql),
        SchemaScript("settle_replay", PackageResources.settle_replay_sql),
        SchemaScript("remove_handler", PackageResources.remove_handler_sql),
        SchemaScript("list_actions", PackageResources.list_actions_sql),
        SchemaScript("list_attempts", PackageResources.list_attempts_sql),
    ]

    /// What the migrations are recorded in.
    static let ground = SchemaScript("v0000_schema_migrations", PackageResources.v0000_schema_migrations_sql)

    static let migrationLock = statement(PackageResources.migration_lock_sql)
    static let checksums = statement(PackageResources.migration_checksums_sql)
    static let migrationsPresent = statement(PackageResources.migrations_present_sql)
    static let selectApplied = statement(PackageResources.applied_migrations_sql)
    static let recordMigration = statement(PackageResources.record_migration_sql)
    static let selectFunctions = statement(PackageResources.installed_functions_sql)
    static let recordFunctions = statement(PackageResources.record_functions_sql)
    static let selectRoutines = statement(PackageResources.routines_and_views_sql)
    static let dropStale = statement(PackageResources.drop_stale_sql)
    static let closeMonths = statement(PackageResources.months_close_sql)
    static let makePartitionsAhead = statement(PackageResources.make_partitions_ahead_sql)
    static let serverVersion = statement(PackageResources.server_version_sql)

    private static func statement(_ bytes: [UInt8]) -> PostgresStatement {
        PostgresStatement(utf8: bytes, prepared: false)
    }
}
