/// When the state of an aggregate is kept, so that a load need not read its stream from the beginning.
///
///     let accounts = store.aggregate(Account(), snapshots: .every(100, shape: 1))
///
/// A cache: snapshots may be deleted at any time (``EventStore/discardSnapshots(of:id:)``), one that cannot be stored or decoded is
/// passed over with a warning, and a state is the same with and without.
public struct SnapshotPolicy: Sendable, Hashable {
    /// How the state is made and encoded, by your own count from 0 on. Raise it with every change of the state's type, and of what
    /// events do to it: snapshots of other shapes are never used, and those of lower ones are removed as new ones are taken. Deciders of
    /// the same Swift type share them, so what an event does must not depend on the decider's own properties.
    public var shape: Int
    /// A snapshot is taken where this many events follow the last one; nil: however many.
    public var events: Int?
    /// A snapshot is taken where the last one is older than this and events follow it, or where there is none; nil: however old.
    public var age: Duration?

    /// How long storing a snapshot may keep a caller, who has what he wanted.
    static let saveTimeout = Duration.seconds(5)

    private init(shape: Int, events: Int?, age: Duration?) {
        precondition(shape >= 0 && shape <= Int32.max, "a shape is a number from 0 on")
        precondition((events ?? 1) > 0, "a snapshot is taken of one event at the least")
        self.shape = shape
        self.events = events
        self.age = age
    }

    /// Whenever so many events have come since the last one.
    public static func every(_ events: Int, shape: Int) -> SnapshotPolicy {
        SnapshotPolicy(shape: shape, events: events, age: nil)
    }

    /// Whenever the last one is older.
    public static func after(_ age: Duration, shape: Int) -> SnapshotPolicy {
        SnapshotPolicy(shape: shape, events: nil, age: age)
    }

    /// Whenever so many events have come since the last one, or some and it is older.
    public static func every(_ events: Int, orAfter age: Duration, shape: Int) -> SnapshotPolicy {
        SnapshotPolicy(shape: shape, events: events, age: age)
    }

    /// - Parameters:
    ///   - following: how many events follow the last snapshot.
    ///   - last: how old that is; nil where there is none.
    func isDue(following: Int, last: Duration?) -> Bool {
        guard following > 0 else { return false }
        if let events, following >= events { return true }
        guard let age else { return false }
        return last.map { $0 > age } ?? true
    }
}
