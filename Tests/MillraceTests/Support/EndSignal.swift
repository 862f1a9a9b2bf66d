import Synchronization

/// Tells tasks that go on with something that it is enough.
final class EndSignal: Sendable {
    private let flag = Atomic(false)

    var isGiven: Bool { flag.load(ordering: .acquiring) }
    func give() { flag.store(true, ordering: .releasing) }
}
