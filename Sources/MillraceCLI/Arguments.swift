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

/// Which past of an aggregate a command looks at.
struct PastOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A version, an RFC 3339 time, or a date: as that day begins in UTC. What happened until then counts, whenever it was stored; otherwise now.",
            valueName: "version|time|date"
        )
    )
    var asOf: PointInTime?

    var point: PointInTime { asOf ?? .now }
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

extension HandlerResetTarget: ExpressibleByArgument {
    public init?(argument: String) {
        switch argument {
        case "start": self = .start
        case "end": self = .end
        default:
            if let position = Int64(argument), position >= 0 {
                self = .after(Position(position))
            } else if let instant = Instant(argument: argument) {
                self = .time(instant.date)
            } else {
                return nil
            }
        }
    }
}

extension ParkedEvent.Status: ExpressibleByArgument {}

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
    /// More than any event has: its JSON may be longer than what is stored of it, and the limit of the store can be raised.
    static let largestDocument = 64 << 20

    /// Everything there is, for inputs that are one document, as the bytes they are: what is not UTF-8 is for PostgreSQL
    /// to refuse, and not to be repaired.
    static func document() async throws -> [UInt8] {
        var document: [UInt8] = []
        while true {
            let piece = try await ImportInput.standardInput.read()
            if piece.isEmpty { return document }
            document += piece
            guard document.count <= largestDocument else {
                throw Failure(
                    .badInput,
                    "standard input is longer than \(largestDocument.bytes), the most that is read: store what is large "
                        + "elsewhere and its address in the event"
                )
            }
        }
    }
}
