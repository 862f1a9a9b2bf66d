import Foundation
import Testing

@testable import MillraceEmbedded

@Suite struct StartAndStopTests {
    @Test func startsStopsAndStartsAgainWithItsData() async throws {
        try await Scratch.with { scratch in
            let clock = ContinuousClock()
            let begin = clock.now
            let first = try await scratch.start()
            let initialised = clock.now - begin
            _ = try await scratch.sql("CREATE TABLE kept AS SELECT 42 AS n", first.connectionString)
            try await first.stop()
            #expect(try !scratch.isServerAlive())

            let again = clock.now
            let second = try await scratch.start()
            print("first start \(initialised), restart \(clock.now - again)")
            #expect(try await scratch.sql("SELECT n FROM kept", second.connectionString) == "42")
            #expect(second.port == first.port)
            try await second.stop()
        }
    }
}
