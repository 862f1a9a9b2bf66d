import Foundation
import Millrace
import Testing

@Suite struct RFC3339Tests {
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0.0), ("2000-02-29T12:30:15Z", 951_827_415),
        ("2026-11-23T15:30:00.250Z", 1_795_447_800.25),
        ("2026-11-23T16:30:00+01:00", 1_795_447_800), ("1969-12-31T23:59:59.5Z", -0.5),
        ("0001-01-01T00:00:00Z", -62_135_596_800),
        ("9999-12-31T23:59:59Z", 253_402_300_799), ("2018-01-01t00:00:00z", 1_514_764_800),
    ])
    func aTimeIsRead(text: String, seconds: Double) throws {
        let date = try #require(Date(rfc3339: text))
        #expect(abs(date.timeIntervalSince1970 - seconds) < 0.000_001)
    }

    @Test(arguments: [
        "2018-02-30T00:00:00Z", "2018-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2018-13-01T00:00:00Z",
        "2018-00-10T00:00:00Z",
        "2018-04-31T00:00:00Z", "2018-01-01T24:00:00Z", "2018-01-01T25:00:00Z", "2018-01-01T00:60:00Z",
        "2018-01-01T00:00:60Z",
        "0000-01-01T00:00:00Z", "99999-01-01T00:00:00Z", "2018-01-01", "2018-01-01T00:00:00", "2018-01-01T00:00:00.Z",
        "2018-01-01T00:00:00+1", "2018-01-01T00:00:00Zjunk", "", "yesterday",
    ])
    func whatIsNoTimeIsRefused(text: String) {
        #expect(Date(rfc3339: text) == nil)
    }

    @Test(arguments: [
        "2026-11-23T15:30:00.123456Z", "1970-01-01T00:00:00.000000Z", "1969-12-31T23:59:59.999999Z",
        "2018-02-28T23:59:59.000001Z",
    ])
    func whatIsWrittenIsReadAgain(text: String) throws {
        #expect(try #require(Date(rfc3339: text)).rfc3339 == text)
    }

    @Test func noDateTraps() {
        for date in [
            Date.distantPast, .distantFuture, Date(timeIntervalSince1970: 9.2e12), Date(timeIntervalSince1970: -2.2e11),
        ] {
            #expect(!date.rfc3339.isEmpty)
        }
    }
}
