#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// Where an event stands in the one order over all events: the column `events.id`.
///
/// Positions increase; gaps are normal (a rolled-back transaction leaves one). A position that is kept, as a
/// checkpoint or a cursor, is always the position of a committed event, or ``start``.
public struct Position: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let rawValue: Int64

    public init(_ rawValue: Int64) { self.rawValue = rawValue }

    /// Before the first event.
    public static let start = Position(0)

    public static func < (left: Position, right: Position) -> Bool { left.rawValue < right.rawValue }
    public var description: String { String(rawValue) }
}

/// A position together with the epoch of the store it was read from: what a consumer keeps outside of the store.
///
/// A store's epoch changes after a promotion of a standby or a restore, because positions may then name other
/// events than before. Keep both, hand both back to ``EventStore/subscribe(from:matching:options:)``.
public struct Checkpoint: Sendable, Hashable, Codable {
    public let epoch: UUID
    public let position: Position

    public init(epoch: UUID, position: Position) {
        self.epoch = epoch
        self.position = position
    }
}

extension Position: Codable {
    public init(from decoder: any Decoder) throws { rawValue = try decoder.singleValueContainer().decode(Int64.self) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}
