import Testing

@testable import MillracePostgres

@Suite struct BackoffTests {
    @Test func waitsDoubleUpToTheLimit() {
        let backoff = PostgresBackoff(initial: .milliseconds(100), maximum: .seconds(1), jitter: 0)
        let waits = (1...6).map { backoff.delay(afterFailure: $0) }
        #expect(waits == [100, 200, 400, 800, 1_000, 1_000].map { .milliseconds($0) })
        #expect(backoff.delay(afterFailure: 1_000_000) == .seconds(1))
    }

    @Test func jitterOnlyShortens() {
        let backoff = PostgresBackoff(initial: .seconds(1), maximum: .seconds(1), jitter: 0.5)
        #expect(backoff.delay(afterFailure: 1, random: 0) == .seconds(1))
        #expect(backoff.delay(afterFailure: 1, random: 0.5) == .milliseconds(750))
        for _ in 0..<100 {
            let wait = backoff.delay(afterFailure: 3)
            #expect(wait > .milliseconds(499) && wait <= .seconds(1))
        }
    }
}
