#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

extension Date {
    /// The instant an RFC 3339 time names: `2026-01-31T12:00:00Z`, with or without a fraction, with `Z` or an offset. nil where
    /// the text is no such time; the 30th of February is none, and nothing is carried over into the next month.
    public init?(rfc3339 text: String) {
        var scanner = Scanner(rest: Array(text.utf8)[...])
        guard let year = scanner.number(digits: 4), scanner.take("-"), let month = scanner.number(digits: 2),
            scanner.take("-"), let day = scanner.number(digits: 2),
            scanner.take("T") || scanner.take("t") || scanner.take(" "),
            let hour = scanner.number(digits: 2), scanner.take(":"), let minute = scanner.number(digits: 2),
            scanner.take(":"), let second = scanner.number(digits: 2),
            let fraction = scanner.fraction(), let offset = scanner.offset(), scanner.rest.isEmpty,
            year >= 1, (1...12).contains(month), day >= 1, day <= Date.days(in: month, of: year),
            hour <= 23, minute <= 59, second <= 59
        else { return nil }
        let days = Date.daysSince1970(year, month, day)
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset
        // Whole seconds first: their sum with the distance of the two epochs is exact, and the fraction keeps its digits.
        self.init(timeIntervalSinceReferenceDate: Double(seconds - 978_307_200) + fraction)
    }

    /// RFC 3339 in UTC with the microseconds that PostgreSQL keeps; a date outside of the years 1 to 9999, which RFC 3339 cannot
    /// write, as Foundation writes it.
    public var rfc3339: String {
        let whole = timeIntervalSinceReferenceDate.rounded(.down)
        var microseconds = Int(((timeIntervalSinceReferenceDate - whole) * 1_000_000).rounded())
        let carried = microseconds == 1_000_000
        if carried { microseconds = 0 }
        let second = Date(timeIntervalSinceReferenceDate: whole + (carried ? 1 : 0))
        let text = second.formatted(Date.ISO8601FormatStyle())
        guard text.hasSuffix("Z") else { return text }
        let digits = String(microseconds)
        return text.dropLast() + "." + String(repeating: "0", count: 6 - digits.count) + digits + "Z"
    }

    private static func days(in month: Int, of year: Int) -> Int {
        switch month {
        case 2: (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    // The proleptic Gregorian calendar as arithmetic, in eras of 400 years that begin in March, so that the leap day is an era's
    // last: Howard Hinnant, “chrono-Compatible Low-Level Date Algorithms”, days_from_civil.
    private static func daysSince1970(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let year = month <= 2 ? year - 1 : year
        let era = year / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }
}

/// Takes a time apart from its beginning; every step says whether it was there.
private struct Scanner {
    var rest: ArraySlice<UInt8>

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest.removeFirst()
        return true
    }

    private mutating func digit() -> Int? {
        guard let byte = rest.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
        rest.removeFirst()
        return Int(byte - UInt8(ascii: "0"))
    }

    mutating func number(digits: Int) -> Int? {
        var number = 0
        for _ in 0..<digits {
            guard let digit = digit() else { return nil }
            number = number * 10 + digit
        }
        return number
    }

    /// The fraction of a second, 0 where there is none.
    mutating func fraction() -> Double? {
        guard take(".") else { return 0 }
        guard var numerator = digit().map(Double.init) else { return nil }
        var denominator = 10.0
        while let digit = digit() {
            numerator = numerator * 10 + Double(digit)
            denominator *= 10
        }
        return numerator / denominator
    }

    /// Seconds east of UTC.
    mutating func offset() -> Int? {
        if take("Z") || take("z") { return 0 }
        let sign = take("+") ? 1 : take("-") ? -1 : 0
        guard sign != 0, let hours = number(digits: 2), take(":"), let minutes = number(digits: 2), hours <= 23,
            minutes <= 59
        else { return nil }
        return sign * (hours * 3600 + minutes * 60)
    }
}
