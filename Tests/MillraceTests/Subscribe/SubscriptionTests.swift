import Foundation
import Millrace
import MillracePostgres
import Testing

/// What a subscription promises besides completeness, which Guarantees/NoEventIsSkipped is about.
@Suite(.timeLimit(.minutes(15)))
struct SubscriptionTests {
    private static func event(_ type: String = "t") -> NewEvent { NewEvent(type: type, data: .emptyObject) }

    private static func elements(_ elements: [SubscriptionElement]) -> [String] {
        elements.map { element in
            switch element {
            case .event(let event): "event \(event.type)"
            case .progress: "progress"
            case .caughtUp: "caught up"
            }
        }
    }

    @Test func deliversHistoryThenAMarkerThenLiveEvents() async throws {
        try await withStore { store in
            try await store.append([Self.event("old 1"), Self.event("old 2")], to: StreamID("a", "1"))
            let reader = LiveReader(store.subscribe(from: .start))
            try await reader.hasCaughtUp()
            #expect(Self.elements(reader.elements) == ["event old 1", "event old 2", "caught up"])
            try await store.append([Self.event("new")], to: StreamID("a", "1"))
            try await reader.hasEvents(3)
            #expect(Self.elements(reader.elements) == ["event old 1", "event old 2", "caught up", "event new"])
            reader.cancel()
        }
    }

    @Test func saysOnAnEmptyStoreThatItHasCaughtUp() async throws {
        try await withStore { store in
            let reader = LiveReader(store.subscribe(from: .start))
            try await reader.hasCaughtUp()
            #expect(Self.elements(reader.elements) == ["caught up"])
            reader.cancel()
        }
    }

    @Test func catchesUpOverManyPagesAndSaysSoOnce() async throws {
        try await withStore { store in
            let count = 257
            try await store.append((0..<count).map { _ in Self.event() }, to: StreamID("a", "1"))
            let options = SubscriptionOptions(limits: PageLimits(events: 10, scanned: 10))
            let reader = LiveReader(store.subscribe(from: .start, options: options))
            try await reader.hasCaughtUp()
            #expect(reader.events.map(\.version) == Array(1...count))
            #expect(reader.caughtUpCount == 1)
            reader.cancel()
        }
    }

    @Test func fromTheEndDeliversOnlyWhatComes() async throws {
        try await withStore { store in
            try await store.append([Self.event("old")], to: StreamID("a", "1"))
            let reader = LiveReader(store.subscribe(from: .end))
            try await reader.hasCaughtUp()
            try await store.append([Self.event("new")], to: StreamID("a", "1"))
            try await reader.hasEvents(1)
            #expect(reader.events.map(\.type) == ["new"])
            reader.cancel()
        }
    }

    @Test func goesOnAfterAPositionOrACheckpoint() async throws {
        try await withStore { store in
            let result = try await store.append(
                [Self.event("1"), Self.event("2"), Self.event("3")],
                to: StreamID("a", "1")
            )
            let position = result.events[1].position
            let checkpoint = Checkpoint(epoch: try await store.epoch(), position: position)
            for start in [StartingPoint.after(position), .checkpoint(checkpoint)] {
                let reader = LiveReader(store.subscribe(from: start))
                try await reader.hasCaughtUp()
                #expect(reader.events.map(\.type) == ["3"])
                reader.cancel()
            }
        }
    }

    @Test func refusesACheckpointOfAnotherLifeOfTheStore() async throws {
        try await withStore { store in
            let epoch = UUID()
            let present = try await store.epoch()
            let checkpoint = Checkpoint(epoch: epoch, position: Position(5))
            let error = await #expect(throws: EventStoreError.self) {
                for try await element in store.subscribe(from: .checkpoint(checkpoint)) {
                    Issue.record("delivered \(element)")
                    break
                }
            }
            guard case .unknownEpoch(let expected, let actual) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(expected == epoch)
            #expect(actual == present)
            #expect(error?.description.contains("restored or promoted") == true)
        }
    }

    @Test func stopEndsItInOrder() async throws {
        try await withStore { store in
            try await store.append([Self.event()], to: StreamID("a", "1"))
            let subscription = store.subscribe(from: .start)
            let reader = LiveReader(subscription)
            try await reader.hasCaughtUp()
            subscription.stop()
            try await reader.ended()
            try await store.append([Self.event()], to: StreamID("a", "1"))
            #expect(reader.events.count == 1)
            // Stopped once is stopped for good, and saying it twice is harmless.
            subscription.stop()
        }
    }

    @Test func cancellingItsTaskEndsItWithAnError() async throws {
        try await withStore { store in
            let reader = LiveReader(store.subscribe(from: .start))
            try await reader.hasCaughtUp()
            reader.cancel()
            await #expect(throws: CancellationError.self) { try await reader.ended() }
        }
    }

    /// The same where it is not waiting for events but for PostgreSQL.
    @Test func cancellingItsTaskInTheMiddleOfAReadEndsItWithTheSameError() async throws {
        try await withStore { store in
            try await store.withTransaction { transaction in
                try await transaction.query("LOCK TABLE millrace.store IN ACCESS EXCLUSIVE MODE")
                let reader = LiveReader(store.subscribe(from: .start))
                try await eventually("the subscription waits for the lock") {
                    let waiting = try await store.client.query(
                        """
                        SELECT count(*) FROM pg_stat_activity
                        WHERE datname = current_database() AND wait_event_type = 'Lock'
                        """
                    )
                    return try waiting[0].decode(Int64.self, at: 0) > 0
                }
                reader.cancel()
                await #expect(throws: CancellationError.self) { try await reader.ended() }
            }
        }
    }

    /// A transaction that stays open for long holds back what comes after it; nothing of either is lost.
    @Test func deliversATransactionThatCommitsLate() async throws {
        try await withStore { store in
            let reader = LiveReader(store.subscribe(from: .start))
            try await reader.hasCaughtUp()
            try await store.withTransaction { transaction in
                try await store.append([Self.event("held")], to: StreamID("a", "1"), in: transaction)
                for number in 0..<20 {
                    try await store.append([Self.event("passed")], to: StreamID("b", "\(number)"))
                }
                // Whoever reads now reads nothing, and is told who is to blame.
                #expect(try await store.readPage(after: .start).events.isEmpty)
                let holders = try await store.client.query(
                    "SELECT positions_behind, settle_with FROM millrace.horizon_holders"
                )
                #expect(holders.count == 1)
                #expect(try holders[0].decode(Int64.self, at: 0) == 21)
                #expect(try holders[0].decode(String.self, at: 1).contains("pg_terminate_backend"))
                #expect(reader.events.isEmpty)
            }
            try await reader.hasEvents(21)
            #expect(reader.events.map(\.type) == ["held"] + Array(repeating: "passed", count: 20))
            reader.cancel()
        }
    }

    @Test func findsEventsOfPublishersThatDoNotNotify() async throws {
        try await withStore { store in
            let reader = LiveReader(store.subscribe(from: .start))
            try await reader.hasCaughtUp()
            for number in 1...5 {
                try await store.client.withTransaction { transaction in
                    try await transaction.query("SELECT set_config('millrace.notify_on_publish', 'off', true)")
                    try await transaction.query(
                        "SELECT millrace.publish_event('silent', $1, 'a', '{}')",
                        [.text("\(number)")]
                    )
                }
                try await reader.hasEvents(number)
            }
            reader.cancel()
        }
    }

    @Test func ofARareTypeMakesProgress() async throws {
        try await withStore { store in
            let usual = try await store.append((0..<300).map { _ in Self.event("usual") }, to: StreamID("a", "1"))
            let options = SubscriptionOptions(limits: PageLimits(events: 10, scanned: 100))
            let reader = LiveReader(store.subscribe(from: .start, matching: .eventTypes("rare"), options: options))
            try await reader.hasCaughtUp()
            #expect(reader.events.isEmpty)
            #expect(Self.elements(reader.elements).filter { $0 == "progress" }.count >= 2)
            guard case .caughtUp(let position) = reader.elements.last else {
                Issue.record("it ended with \(String(describing: reader.elements.last))")
                return
            }
            #expect(position == usual.lastPosition, "what was kept is the position of an event, matching or not")
            try await store.append([Self.event("rare")], to: StreamID("a", "2"))
            try await reader.hasEvents(1)
            reader.cancel()
        }
    }

    @Test func deliversToManyAtOnceWhatEachWants() async throws {
        try await withStore { store in
            let filters = [
                EventFilter.all, .eventTypes("x"), .aggregateTypes("b"),
                EventFilter(eventTypes: ["y"], aggregateTypes: ["a"]),
            ]
            let readers = filters.map { LiveReader(store.subscribe(from: .start, matching: $0)) }
            for reader in readers { try await reader.hasCaughtUp() }
            try await store.append([Self.event("x"), Self.event("y")], to: StreamID("a", "1"))
            try await store.append([Self.event("x"), Self.event("z")], to: StreamID("b", "1"))
            try await readers[0].hasEvents(4)
            try await readers[1].hasEvents(2)
            try await readers[2].hasEvents(2)
            try await readers[3].hasEvents(1)
            #expect(readers[2].events.map(\.type) == ["x", "z"])
            #expect(readers[3].events.map(\.stream) == [StreamID("a", "1")])
            for reader in readers { reader.cancel() }
        }
    }

    @Test func pagesCarryWhatIsWorthACheckpoint() async throws {
        try await withStore { store in
            try await store.append((0..<25).map { _ in Self.event() }, to: StreamID("a", "1"))
            let options = SubscriptionOptions(limits: PageLimits(events: 10, scanned: 10))
            let subscription = store.subscribeToPages(from: .start, options: options)
            var versions: [Int] = []
            var pages = 0
            for try await page in subscription {
                pages += 1
                versions += page.events.map(\.version)
                #expect(page.scannedTo == page.events.last?.position)
                if page.isLast { subscription.stop() }
            }
            #expect(versions == Array(1...25))
            #expect(pages == 3)
        }
    }
}

/// A live subscription outlives a restart of PostgreSQL.
@Suite(.serialized, .timeLimit(.minutes(15)))
struct SubscriptionOverARestartTests {
    @Test func goesOnWhereItWas() async throws {
        try await CrashableServer.run { server in
            try await withStores(
                PostgresConfiguration(server.connectionString),
                PostgresConfiguration(server.connectionString)
            ) {
                store,
                other in
                let stream = StreamID("a", "1")
                let reader = LiveReader(other.subscribe(from: .start))
                try await store.append([NewEvent(type: "before", data: .emptyObject)], to: stream)
                try await reader.hasEvents(1)
                for restart in 1...2 {
                    try await server.restart()
                    let event = NewEvent(type: "after \(restart)", data: .emptyObject)
                    try await eventually("an append succeeds again") {
                        do {
                            try await store.append([event], to: stream)
                            return true
                        } catch is EventStoreError {
                            return false
                        }
                    }
                    try await reader.hasEvents(1 + restart)
                }
                #expect(reader.events.map(\.type) == ["before", "after 1", "after 2"])
                #expect(reader.events.map(\.version) == [1, 2, 3])
                reader.cancel()
            }
        }
    }

    @Test func givesUpAfterTheOutageThatItAllows() async throws {
        try await CrashableServer.run { server in
            let configuration = PostgresConfiguration(server.connectionString)
            try await withStores(configuration, configuration) { _, other in
                let options = SubscriptionOptions(outageLimit: .milliseconds(500))
                let reader = LiveReader(other.subscribe(from: .start, options: options))
                try await reader.hasCaughtUp()
                try await server.kill()
                let error = await #expect(throws: EventStoreError.self) { try await reader.ended() }
                guard case .postgres = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
                try await server.start()
            }
        }
    }
}
