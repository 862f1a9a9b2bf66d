import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// As PostgreSQL compares text: a subject's name is its bytes.
typealias SubjectName = JSONObject.Name

/// Keys that were asked for lately, so that an event costs no round trip.
///
/// A key is kept from before it was asked for, for ``PersonalData/keyLifetime`` at the most; what was asked for before somebody was forgotten here is
/// not kept when its answer comes after.
final class SubjectKeyCache: Sendable {
    /// Says of an answer whether it may be kept.
    struct Moment: Sendable {
        fileprivate let ends: ContinuousClock.Instant
        fileprivate let forgettings: UInt64
    }

    private struct Entry<Value> {
        let value: Value
        let ends: ContinuousClock.Instant
    }

    private struct State {
        var byID: [UUID: Entry<SubjectKeyState>] = [:]
        var inUse: [SubjectName: Entry<SubjectKey>] = [:]
        var forgettings: UInt64 = 0
    }

    private let now: @Sendable () -> ContinuousClock.Instant
    private let state = Mutex(State())

    init(now: @escaping @Sendable () -> ContinuousClock.Instant) { self.now = now }

    /// To be taken before the keys are asked for.
    func moment() -> Moment {
        Moment(ends: now() + PersonalData.keyLifetime, forgettings: state.withLock { $0.forgettings })
    }

    func key(of subject: SubjectName) -> SubjectKey? {
        let now = now()
        return state.withLock { $0.inUse[subject].flatMap { $0.ends > now ? $0.value : nil } }
    }

    func states(of ids: some Sequence<UUID>) -> [UUID: SubjectKeyState] {
        let now = now()
        return state.withLock { state in
            var found: [UUID: SubjectKeyState] = [:]
            for id in ids {
                if let entry = state.byID[id], entry.ends > now { found[id] = entry.value }
            }
            return found
        }
    }

    func keep(_ key: SubjectKey, of subject: SubjectName, from moment: Moment) {
        keep([key.id: .known(key)], from: moment)
        state.withLock { state in
            guard state.forgettings == moment.forgettings else { return }
            if state.inUse.count >= PersonalData.keyLimit { state.inUse.removeAll() }
            state.inUse[subject] = Entry(value: key, ends: moment.ends)
        }
    }

    func keep(_ states: [UUID: SubjectKeyState], from moment: Moment) {
        state.withLock { state in
            guard state.forgettings == moment.forgettings else { return }
            for (id, value) in states {
                if state.byID.count >= PersonalData.keyLimit { state.byID.removeAll() }
                state.byID[id] = Entry(value: value, ends: moment.ends)
            }
        }
    }

    /// Somebody was forgotten: nothing that is known, or on its way, is used again.
    func forget() {
        state.withLock { state in
            state.forgettings += 1
            state.byID.removeAll()
            state.inUse.removeAll()
        }
    }
}
