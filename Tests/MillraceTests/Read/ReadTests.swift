import Foundation
import Millrace
import MillracePostgres
import Testing

/// Streams and the log can be read from and to any place, in pages that the caller does not notice.
@Suite(.timeLimit(.minutes(15)))
struct ReadTests {
    private static let stream = StreamID("read", "1")

    private static func fill(_ store: EventStore, _ count: Int) async throws {
        try await store.append((1...count).map { NewEvent(type: "n", data: JSON("\($0)")) }, to: stream)
    }

    private static func versions(
        _ store: EventStore,
        from first: Int? = nil,
        through last: Int? = nil,
        _ direction: ReadDirection = .forwards
    ) async throws -> [Int] {
        var versions: [Int] = []
        for try await event in store.readStream(stream, from: first, through: last, direction: direction) {
            versions.append(event.version)
        }
        return versions
    }

    @Test func aStreamForwardsAndBackwardsFromAndToAnyVersion() async throws {
        try await withStore { store in
            try await Self.fill(store, 10)
            #expect(try await Self.versions(store) == Array(1...10))
            #expect(try await Self.versions(store, from: 4) == Array(4...10))
            #expect(try await Self.versions(store, through: 3) == [1, 2, 3])
            #expect(try await Self.versions(store, from: 4, through: 6) == [4, 5, 6])
            #expect(try await Self.versions(store, from: 7, through: 7) == [7])
            #expect(try await Self.versions(store, from: 8, through: 3) == [])
            #expect(try await Self.versions(store, from: 11) == [])
            #expect(try await Self.versions(store, .backwards) == (1...10).reversed())
            #expect(try await Self.versions(store, from: 4, .backwards) == [4, 3, 2, 1])
            #expect(try await Self.versions(store, through: 8, .backwards) == [10, 9, 8])
            #expect(try await Self.versions(store, from: 6, through: 4, .backwards) == [6, 5, 4])
            #expect(try await Self.versions(store, from: 3, through: 5, .backwards) == [])
            #expect(try await Self.versions(store, from: 99, through: 9, .backwards) == [10, 9])
        }
    }

    @Test func aStreamThatIsNotThereIsEmpty() async throws {
        try await withStore { store in
            let (forwards, backwards) = (try await Self.versions(store), try await Self.versions(store, .backwards))
            #expect(forwards.isEmpty && backwards.isEmpty)
        }
    }

    @Test func aStreamOfMoreThanAPageBothWays() async throws {
        let count = 2 * StreamReader.pageSize + 7
        try await withStore { store in
            try await Self.fill(store, count)
            #expect(try await Self.versions(store) == Array(1...count))
            #expect(try await Self.versions(store, .backwards) == (1...count).reversed())
            #expect(try await Self.versions(store, from: 5, through: 1_500) == Array(5...1_500))
            #expect(try await Self.versions(store, through: 3, .backwards) == (3...count).reversed())
            // Exactly a page, and exactly two.
            #expect(try await Self.versions(store, through: StreamReader.pageSize).count == StreamReader.pageSize)
            #expect(
                try await Self.versions(store, through: 2 * StreamReader.pageSize).count == 2 * StreamReader.pageSize
            )
        }
    }

    @Test func theLogInPositionOrderAfterAPositionAndFiltered() async throws {
        try await withStore { store in
            var positions: [Position] = []
            for number in 1...30 {
                let type = number % 3 == 0 ? "third" : "other"
                let stream = StreamID(number % 2 == 0 ? "even" : "odd", "\(number % 5)")
                let result = try await store.append([NewEvent(type: type, data: JSON("\(number)"))], to: stream)
                positions.append(result.lastPosition)
            }
            #expect(positions == positions.sorted())

            func numbers(
                after position: Position = .start,
                _ filter: EventFilter = .all,
                _ limits: PageLimits = PageLimits()
            ) async throws -> [Int] {
                var numbers: [Int] = []
                for try await event in store.readAll(after: position, matching: filter, limits: limits) {
                    numbers.append(try event.decode(Int.self))
                }
                return numbers
            }
            #expect(try await numbers() == Array(1...30))
            #expect(try await numbers(after: positions[19]) == Array(21...30))
            #expect(try await numbers(after: positions[29]) == [])
            #expect(try await numbers(.eventTypes("third")) == Array(stride(from: 3, through: 30, by: 3)))
            #expect(try await numbers(.aggregateTypes("even")) == Array(stride(from: 2, through: 30, by: 2)))
            let both = EventFilter(eventTypes: ["third"], aggregateTypes: ["even"])
            #expect(try await numbers(both) == [6, 12, 18, 24, 30])
            #expect(try await numbers(.eventTypes("none")) == [])
            for size in [1, 2, 7, 29, 30, 31] {
                #expect(try await numbers(.all, PageLimits(events: size, scanned: size)) == Array(1...30))
                #expect(try await numbers(both, PageLimits(events: size, scanned: 4)) == [6, 12, 18, 24, 30])
            }
            #expect(try await store.lastPosition() == positions[29])
        }
    }

    /// A snapshot older than the horizon would miss events: refused with the cause, not read wrongly.
    @Test(arguments: [PostgresTransactionMode.Isolation.repeatableRead, .serializable])
    func theLogIsRefusedUnderAnOlderSnapshot(isolation: PostgresTransactionMode.Isolation) async throws {
        try await withStore { store in
            try await Self.fill(store, 3)
            let mode = PostgresTransactionMode(isolation: isolation, readOnly: true)
            let error = await #expect(throws: EventStoreError.self) {
                try await store.withTransaction(mode, retry: .none) { transaction in
                    _ = try await store.readPage(after: .start, in: transaction)
                }
            }
            guard case .cannotReadLog = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(error?.description.contains("READ COMMITTED") == true)
            // A stream is consistent in any snapshot.
            let count = try await store.withTransaction(mode) { transaction in
                var count = 0
                for try await _ in store.readStream(Self.stream, in: transaction) { count += 1 }
                return count
            }
            #expect(count == 3)
        }
    }

    @Test func withinATransactionItsOwnEventsOfAStreamAreThere() async throws {
        try await withStore { store in
            try await store.withTransaction { transaction in
                try await store.append([NewEvent(type: "n", data: JSON("1"))], to: Self.stream, in: transaction)
                var inside = 0
                for try await _ in store.readStream(Self.stream, in: transaction) { inside += 1 }
                #expect(inside == 1)
                #expect(try await Self.versions(store) == [])
            }
            #expect(try await Self.versions(store) == [1])
        }
    }
}
