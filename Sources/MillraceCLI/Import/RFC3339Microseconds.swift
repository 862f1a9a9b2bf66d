/// RFC 3339 straight into what PostgreSQL stores: microseconds since 2000-01-01 UTC.
///
/// nil also for times that PostgreSQL takes and this does not: a fraction it would have to round, the 24th hour, a leap second.
enum RFC3339Microseconds {
    /// In hours: PostgreSQL's own bound is below 16.
    private static let largestOffset = 15

    static func parse(_ text: UnsafeRawBufferPointer) -> Int64? {
        var digits = Digits(bytes: text)
        guard let year = digits.number(4), digits.take("-"), let month = digits.number(2), digits.take("-"),
            let day = digits.number(2), digits.take("T") || digits.take("t") || digits.take(" "),
            let hour = digits.number(2), digits.take(":"), let minute = digits.number(2), digits.take(":"),
            let second = digits.number(2), let fraction = digits.fraction(), let offset = digits.offset(),
            digits.isAtEnd, year >= 1, (1...12).contains(month), day >= 1, day <= days(in: month, of: year),
            hour <= 23, minute <= 59, second <= 59
        else { return nil }
        let seconds = daysSince2000(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset
        guard (firstSecond...lastSecond).contains(seconds) else { return nil }
        return seconds * 1_000_000 + fraction
    }

    /// Of the years 1 to 9999, in UTC.
    private static let firstSecond = daysSince2000(1, 1, 1) * 86_400
    private static let lastSecond = daysSince2000(9999, 12, 31) * 86_400 + 86_399

    private struct Digits {
        let bytes: UnsafeRawBufferPointer
        var place = 0

        var isAtEnd: Bool { place == bytes.count }

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard place < bytes.count, bytes[place] == UInt8(ascii: character) else { return false }
            place += 1
            return true
        }

        mutating func digit() -> Int64? {
            guard place < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[place]) else {
                return nil
            }
            defer { place += 1 }
            return Int64(bytes[place] - UInt8(ascii: "0"))
        }

        mutating func number(_ count: Int) -> Int64? {
            var number: Int64 = 0
            for _ in 0..<count {
                guard let digit = digit() else { return nil }
                number = number * 10 + digit
            }
            return number
        }

        /// In microseconds; 0 where there is none.
        mutating func fraction() -> Int64? {
            guard take(".") else { return 0 }
            var fraction: Int64 = 0
            var count = 0
            while let digit = digit() {
                fraction = fraction * 10 + digit
                count += 1
                if count > 6 { return nil }
            }
            guard count > 0 else { return nil }
            for _ in count..<6 { fraction *= 10 }
            return fraction
        }

        /// In seconds east of UTC.
        mutating func offset() -> Int64? {
            if take("Z") || take("z") { return 0 }
            let isWest = take("-")
            guard isWest || take("+"), let hours = number(2), take(":"), let minutes = number(2),
                hours <= largestOffset, minutes <= 59
            else { return nil }
            let seconds = hours * 3600 + minutes * 60
            return isWest ? -seconds : seconds
        }
    }

    private static func days(in month: Int64, of year: Int64) -> Int64 {
        switch month {
        case 2: (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    // The proleptic Gregorian calendar as arithmetic, in eras of 400 years that begin in March, as Date(rfc3339:) does it.
    private static func daysSince2000(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let year = month <= 2 ? year - 1 : year
        let era = year / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468 - 10_957
    }
}
