/// Where a subscription begins.
public enum StartingPoint: Sendable, Hashable {
    /// With the first event there is.
    case start
    /// With the first event stored after the subscription began.
    case end
    /// With the first event after a position.
    case after(Position)
    /// As ``after(_:)``, for a position kept outside of the store: refused with
    /// ``EventStoreError/unknownEpoch(expected:actual:)`` where the store was restored or promoted since.
    case checkpoint(Checkpoint)
}
