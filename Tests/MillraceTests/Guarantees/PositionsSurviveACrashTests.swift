import Foundation
import Millrace
import MillracePostgres
import Testing

/// A position that a subscriber has seen never names another event, and none is skipped, after PostgreSQL was killed.
@Suite(.serialized, .timeLimit(.minutes(15)))
struct PositionsSurviveACrashTests {
    private static let crashes = 3
    private static let rolledBackAppends = 200
    private static let eventsBetween = 5
    private static let wakeUpLimit = Duration.seconds(60)

    /// What the crashes did, over all trials of a run.
    private struct Tally {
        var sequenceWentBack = 0
        var carelessWouldSkip = 0
        var unprotectedCommitsLost = 0
    }

    /// Publishers who turned `synchronous_commit` off are promised the same.
    @Test(arguments: ["on", "off", "local"])
    func afterAppendsThatWereRolledBack(synchronousCommit: String) async throws {
        try await CrashableServer.run { server in
            var publisher = PostgresConfiguration(server.connectionString)
            publisher.sessionSettings["synchronous_commit"] = synchronousCommit
            var subscriber = PostgresConfiguration(server.connectionString)
            subscriber.applicationName = "crash subscriber"
            try await withStores(publisher, subscriber) { publisher, subscriber in
                try await subscriber.client.script("CREATE TABLE public.unprotected (trial int NOT NULL)")
                let seen = Sightings(of: "live subscriber over \(Self.crashes) crashes")
                let options = SubscriptionOptions(limits: PageLimits(events: 50))
                let following = Task {
                    for try await element in subscriber.subscribe(from: .start, options: options) {
                        if case .event(let event) = element { seen.note(event) }
                    }
                }
                defer { following.cancel() }

                var tally = Tally()
                for trial in 1...Self.crashes {
                    try await Self.crash(server, trial, publisher, seen, &tally)
                }
                let audit = try await LogAudit(of: publisher.client)
                let findings = audit.findings(on: seen)
                print(
                    "PositionsSurviveACrash, synchronous_commit=\(synchronousCommit): \(findings);",
                    "the sequence went back in \(tally.sequenceWentBack) of \(Self.crashes) crashes,",
                    "a reader that kept the horizon would have skipped \(tally.carelessWouldSkip) events,",
                    "\(tally.unprotectedCommitsLost) commits of another table were lost"
                )
                #expect(findings.isClean)
                #expect(findings.delivered == 2 * Self.eventsBetween * Self.crashes)
                #expect(audit.brokenStreams.isEmpty)
                // Without these the crashes would not have been of the kind that is dangerous.
                #expect(tally.sequenceWentBack > 0)
                #expect(tally.carelessWouldSkip > 0)
                if synchronousCommit == "off" { #expect(tally.unprotectedCommitsLost > 0) }
            }
        }
    }

    private static func crash(
        _ server: CrashableServer,
        _ trial: Int,
        _ store: EventStore,
        _ seen: Sightings,
        _ tally: inout Tally
    ) async throws {
        try await publish(store, trial)
        try await waitUntil(seen, has: (2 * trial - 1) * eventsBetween)
        try await store.client.query("INSERT INTO public.unprotected (trial) VALUES ($1)", [.int4(Int32(trial))])
        try await rollBack(store, trial)
        let horizon = try await store.client.query("SELECT millrace.horizon()")[0].decode(Int64.self, at: 0)
        try await waitUntilTheSubscriberLooked(store.client)
        let last = try #require(seen.last)
        #expect(horizon >= last.position + Int64(rolledBackAppends), "the rolled-back appends drew positions")

        try await server.kill()
        try await server.start()
        try await eventually("the server answers again", within: wakeUpLimit) {
            do {
                try await store.client.query("SELECT 1")
                return true
            } catch let error as PostgresError where error.sqlState != .undefinedTable {
                return false
            }
        }
        let after = try await store.client.query("SELECT millrace.latest_position()")[0].decode(Int64.self, at: 0)
        if after < horizon { tally.sequenceWentBack += 1 }
        let kept = try await store.client.query(
            "SELECT count(*) FROM public.unprotected WHERE trial = $1",
            [.int4(Int32(trial))]
        )
        tally.unprotectedCommitsLost += 1 - Int(try kept[0].decode(Int64.self, at: 0))

        try await publish(store, trial)
        try await waitUntil(seen, has: 2 * trial * eventsBetween)
        tally.carelessWouldSkip += seen.all.count { $0.position > last.position && $0.position <= horizon }
    }

    /// As SQL does it, and as the library does.
    private static func publish(_ store: EventStore, _ trial: Int) async throws {
        for number in 1...eventsBetween {
            if number % 2 == 0 {
                try await store.append([NewEvent(type: "crash.kept", data: .emptyObject)], to: StreamID("crash", "a"))
            } else {
                try await store.client.query(
                    "SELECT millrace.publish_event('crash.kept', 'b', 'crash', jsonb_build_object('trial', $1))",
                    [.int4(Int32(trial))]
                )
            }
        }
    }

    private static func rollBack(_ store: EventStore, _ trial: Int) async throws {
        await #expect(throws: CancellationError.self) {
            try await store.client.withTransaction { transaction in
                try await transaction.query(
                    """
                    SELECT count(millrace.publish_event('crash.gone', 'c' || n, 'crash', '{}'))
                    FROM generate_series(1, $1) AS n
                    """,
                    [.int4(Int32(rolledBackAppends))]
                )
                throw CancellationError()
            }
        }
    }

    private static func waitUntil(_ seen: Sightings, has count: Int) async throws {
        try await eventually("the subscriber has \(count) events", within: wakeUpLimit) { seen.count >= count }
    }

    /// Its session shows when it last looked. Between two looks of its poll it has read, where the sequence was not where its last
    /// read had ended: after two of them it has seen how far the horizon went.
    private static func waitUntilTheSubscriberLooked(_ client: PostgresClient) async throws {
        var since = try await client.query("SELECT clock_timestamp()")[0].decode(Date.self, at: 0)
        for look in 1...2 {
            try await eventually("the subscriber looked at the log, \(look)", within: wakeUpLimit) {
                let looked = try await client.query(
                    """
                    SELECT max(query_start) FROM pg_stat_activity
                    WHERE application_name = 'crash subscriber' AND query_start > $1
                      AND (query LIKE '%millrace.page_up_to%' OR query LIKE '%latest_position%')
                    """,
                    [.timestamptz(since)]
                )
                guard let time = try looked[0].decode(Date?.self, at: 0) else { return false }
                since = time
                return true
            }
        }
    }
}
