public import ArgumentParser
public import Millrace

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// A moment as people write it: an RFC 3339 time, or a date, which is its first moment in UTC.
struct Instant: ExpressibleByArgument {
    let date: Date

    init(date: Date) { self.date = date }

    init?(argument: String) {
        guard let date = Date(rfc3339: argument) ?? Date(rfc3339: argument + "T00:00:00Z") else { return nil }
        self.date = date
    }
}

extension UUID: @retroactive ExpressibleByArgument {
    public init?(argument: String) { self.init(uuidString: argument) }
}

extension ExpectedVersion: ExpressibleByArgument {
    public init?(argument: String) {
        switch argument {
        case "any": self = .any
        case "none": self = .noStream
        case "exists": self = .streamExists
        default:
            guard let version = Int(argument), version >= 1 else { return nil }
            self = .exactly(version)
        }
    }
}

extension PointInTime: ExpressibleByArgument {
    public init?(argument: String) {
        if let version = Int(argument), version >= 1 {
            self = .version(version)
        } else if let instant = Instant(argument: argument) {
            self = .time(instant.date)
        } else {
            return nil
        }
    }
}

extension StartingPoint: ExpressibleByArgument {
    public init?(argument: String) {
        switch argument {
        case "start": self = .start
        case "end": self = .end
        default:
            guard let position = Int64(argument), position >= 0 else { return nil }
            self = .after(Position(position))
        }
    }
}

/// The filter of the commands that read the log.
struct FilterOptions: ParsableArguments {
    @Option(name: .customLong("type"), help: "Only events of this type; may be given several times.")
    var eventTypes: [String] = []

    @Option(name: .customLong("aggregate-type"), help: "Only aggregates of this type; may be given several times.")
    var aggregateTypes: [String] = []

    var filter: EventFilter {
        EventFilter(
            eventTypes: eventTypes.isEmpty ? nil : eventTypes,
            aggregateTypes: aggregateTypes.isEmpty ? nil : aggregateTypes
        )
    }
}

enum StandardInput {
    /// Everything there is, for inputs that are one document.
    static func text() throws -> String {
        var lines: [String] = []
        while let line = readLine(strippingNewline: false) { lines.append(line) }
        return lines.joined()
    }
}
