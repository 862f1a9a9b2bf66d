/// What an append requires of a stream before it may write.
public enum ExpectedVersion: Sendable, Hashable, CustomStringConvertible {
    /// Nothing: append after whatever is there.
    case any
    /// That the stream has no events yet.
    case noStream
    /// That the stream has at least one event.
    case streamExists
    /// That the stream's last event has exactly this version, 1 or more.
    case exactly(Int)

    public var description: String {
        switch self {
        case .any: "any version"
        case .noStream: "no stream"
        case .streamExists: "an existing stream"
        case .exactly(let version): "version \(version)"
        }
    }
}

extension ExpectedVersion {
    // How `millrace.append_events` spells them; `any` is the absence of an expectation.
    var wireValue: Int32? {
        get throws(EventStoreError) {
            switch self {
            case .any: return nil
            case .noStream: return 0
            case .streamExists: return -1
            case .exactly(let version):
                guard let wire = Int32(exactly: version), wire >= 1 else {
                    throw .invalidEvent(
                        "expected version \(version) is out of range",
                        hint: "Give a version from 1 to 2147483647, or .noStream for a new stream."
                    )
                }
                return wire
            }
        }
    }

    init(wireValue: Int32) {
        switch wireValue {
        case -1: self = .streamExists
        case 0: self = .noStream
        default: self = .exactly(Int(wireValue))
        }
    }
}

/// One stream that was not where an append required it to be.
public struct VersionConflict: Sendable, Hashable, CustomStringConvertible {
    public let stream: StreamID
    public let expected: ExpectedVersion
    /// The version of the stream's last event; 0: it has none.
    public let actual: Int

    public init(stream: StreamID, expected: ExpectedVersion, actual: Int) {
        self.stream = stream
        self.expected = expected
        self.actual = actual
    }

    public var description: String {
        "\(stream): expected \(expected), it is at \(actual == 0 ? "no version" : "version \(actual)")"
    }
}
