/// What a check of stored events found.
public struct EventCheckReport: Sendable, Hashable, Codable {
    public struct TypeCount: Sendable, Hashable, Codable {
        public let type: String
        public internal(set) var events: Int
        /// Events of it that have at least one.
        public internal(set) var problems: Int
    }

    /// Stored events that were looked at.
    public internal(set) var events = 0
    /// All there are, however many of them are listed.
    public internal(set) var problemCount = 0
    /// The first, in the order of their positions, up to ``EventCheck/problemLimit``.
    public internal(set) var problems: [EventProblem] = []
    /// By the types they are stored under.
    public internal(set) var storedTypes: [TypeCount] = []
    /// By the types that they have become.
    public internal(set) var currentTypes: [TypeCount] = []
    /// Those of the current types that the code does not know; none where it was not told of any.
    public internal(set) var unknownTypes: [TypeCount] = []
    /// Up to where it was looked.
    public internal(set) var scannedTo = Position.start

    enum CodingKeys: String, CodingKey {
        case events, problems
        case problemCount = "problem_count"
        case storedTypes = "stored_types"
        case currentTypes = "current_types"
        case unknownTypes = "unknown_types"
        case scannedTo = "scanned_to"
    }

    public init() {}

    /// Whether the code can read all of it, and knows every type.
    public var isClean: Bool { problemCount == 0 && unknownTypes.isEmpty }
}

extension EventCheckReport {
    /// Lists problems that came apart from the counts.
    package mutating func take(_ problems: [EventProblem]) { self.problems = problems }

    mutating func add(_ problem: EventProblem, limit: Int) {
        problemCount += 1
        if problems.count < limit { problems.append(problem) }
    }

    static func count(_ event: RecordedEvent, failed: Bool, in counts: inout [TypeCount]) {
        if let index = counts.firstIndex(where: { event.hasType($0.type) }) {
            counts[index].events += 1
            counts[index].problems += failed ? 1 : 0
        } else {
            counts.append(TypeCount(type: event.type, events: 1, problems: failed ? 1 : 0))
        }
    }

    /// Adds what was found further on.
    mutating func add(_ next: EventCheckReport, limit: Int) {
        events += next.events
        problemCount += next.problemCount
        problems += next.problems.prefix(max(0, limit - problems.count))
        EventCheckReport.add(next.storedTypes, to: &storedTypes)
        EventCheckReport.add(next.currentTypes, to: &currentTypes)
        EventCheckReport.add(next.unknownTypes, to: &unknownTypes)
        scannedTo = max(scannedTo, next.scannedTo)
    }

    private static func add(_ next: [TypeCount], to counts: inout [TypeCount]) {
        for count in next {
            if let index = counts.firstIndex(where: { $0.type.hasSameBytes(as: count.type) }) {
                counts[index].events += count.events
                counts[index].problems += count.problems
            } else {
                counts.append(count)
            }
        }
        counts.sort { $0.type.utf8.lexicographicallyPrecedes($1.type.utf8) }
    }
}
