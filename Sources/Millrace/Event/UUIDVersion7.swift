#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

extension UUID {
    /// A new UUID of version 7 (RFC 9562, section 5.7): milliseconds since 1970, then twelve bits of the fraction
    /// of the millisecond (method 3 of section 6.2), then 62 random bits. Ids made one after the other sort in
    /// that order where the clock moved between them, which keeps the index on `event_id` compact.
    public static func version7() -> UUID {
        var generator = SystemRandomNumberGenerator()
        return version7(at: Date(), using: &generator)
    }

    static func version7(at instant: Date, using generator: inout some RandomNumberGenerator) -> UUID {
        let ticks = UInt64(max(0, instant.timeIntervalSince1970) * 1000 * 4096)
        let milliseconds = ticks >> 12
        let fraction = UInt16(ticks & 0xFFF)
        let random: UInt64 = generator.next()

        func byte(_ value: UInt64, _ index: Int) -> UInt8 { UInt8(truncatingIfNeeded: value >> (8 * UInt64(index))) }
        return UUID(
            uuid: (
                byte(milliseconds, 5), byte(milliseconds, 4), byte(milliseconds, 3),
                byte(milliseconds, 2), byte(milliseconds, 1), byte(milliseconds, 0),
                0x70 | UInt8(fraction >> 8), UInt8(truncatingIfNeeded: fraction),
                0x80 | (byte(random, 7) & 0x3F), byte(random, 6), byte(random, 5), byte(random, 4),
                byte(random, 3), byte(random, 2), byte(random, 1), byte(random, 0)
            )
        )
    }
}
