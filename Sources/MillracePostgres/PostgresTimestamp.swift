#if canImport(FoundationEssentials)
    package import FoundationEssentials
#else
    package import Foundation
#endif

/// The wire form of timestamptz: microseconds since 2000-01-01 00:00 UTC, the two extremes being the infinities.
package enum PostgresTimestamp {
    /// Foundation counts from 2001-01-01; the year 2000 had 366 days.
    static let secondsToReferenceDate = 366.0 * 86_400

    package static func microseconds(_ date: Date) -> Int64 {
        let exact = ((date.timeIntervalSinceReferenceDate + secondsToReferenceDate) * 1_000_000).rounded()
        return Int64(exactly: exact) ?? (exact < 0 ? .min : .max)
    }

    package static func date(_ microseconds: Int64) -> Date {
        switch microseconds {
        case .min: .distantPast
        case .max: .distantFuture
        default:
            Date(timeIntervalSinceReferenceDate: Double(microseconds) / 1_000_000 - secondsToReferenceDate)
        }
    }
}
