import Logging
import MillracePostgres
import Testing

@testable import Millrace

/// Rings are coalesced, and none that matters is lost.
@Suite(.timeLimit(.minutes(15)))
struct DoorbellTests {
    @Test func theNewestPositionIsRungAndFewOfThoseBeforeIt() async throws {
        let asked: Int64 = 5_000
        try await withStore { store in
            let doorbell = Doorbell(client: store.client, logger: store.logger)
            let heard = try await within(.seconds(60), "the newest position is heard") {
                var heard: [Int64] = []
                for await element in store.client.notifications(on: ["event_channel"]) {
                    switch element {
                    case .listening: for position in 1...asked { doorbell.ring(Position(position)) }
                    case .notified(_, let payload, _): heard.append(Int64(payload) ?? -1)
                    }
                    if heard.last == asked { break }
                }
                return heard
            }
            #expect(heard == heard.sorted())
            #expect(heard.count < asked / 2, "they are coalesced")
            print("Doorbell: \(asked) positions, \(heard.count) rings")
        }
    }

    @Test func flushingWaitsForRingsThatRest() async throws {
        try await withStore { store in
            let doorbell = Doorbell(client: store.client, logger: store.logger)
            for round in 1...20 as ClosedRange<Int64> {
                doorbell.ring(Position(round))
                doorbell.ring(Position(round + 1))
                await doorbell.flush()
                #expect(doorbell.isQuiet)
            }
        }
    }

    @Test func aRingThatFailsHoldsNobodyUp() async throws {
        var configuration = PostgresConfiguration("host=127.0.0.1 port=1 dbname=none")
        configuration.reconnectBackoff = .init(initial: .milliseconds(1), maximum: .milliseconds(1))
        try await withClient(configuration) { client in
            let doorbell = Doorbell(
                client: client,
                logger: Logger(label: "millrace.tests") { _ in SwiftLogNoOpLogHandler() }
            )
            for round in 1...3 as ClosedRange<Int64> {
                doorbell.ring(Position(round))
                await doorbell.flush()
                #expect(doorbell.isQuiet)
            }
        }
    }
}
