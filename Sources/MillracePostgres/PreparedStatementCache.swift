/// Which statements a connection has prepared, and under which names.
///
/// A statement that one call is still preparing is not used by another: should the preparation fail, only the call that
/// asked for it fails. Names are never used twice, so that a statement whose deallocation failed cannot be mistaken.
struct PreparedStatementCache {
    struct Key: Hashable {
        let statement: PostgresStatement
        let types: [UInt32]
    }

    enum Use: Equatable {
        case unnamed
        case prepared(String)
        case prepareFirst(String)
    }

    private struct Entry {
        let name: String
        /// The call that prepares it; nil once it is prepared.
        var preparing: UInt64?
        var lastUse: UInt64
    }

    /// Names whose statements are evicted wait for a moment outside of any transaction; beyond this many, nothing is
    /// evicted and new statements stay unnamed.
    static let maximumBacklog = 64

    let limit: Int
    private var entries: [Key: Entry] = [:]
    private var clock: UInt64 = 0
    private(set) var deallocations: [String] = []

    init(limit: Int) {
        self.limit = limit
    }

    var count: Int { entries.count }

    mutating func use(_ key: Key, by call: UInt64) -> Use {
        guard limit > 0, key.statement.prepared else { return .unnamed }
        clock += 1
        if let index = entries.index(forKey: key) {
            let entry = entries[key]!
            if let preparing = entry.preparing, preparing != call { return .unnamed }
            entries.values[index].lastUse = clock
            return .prepared(entry.name)
        }
        guard entries.count < limit || evict() else { return .unnamed }
        let name = "m\(String(key.statement.digest, radix: 16))_\(clock)"
        entries[key] = Entry(name: name, preparing: call, lastUse: clock)
        return .prepareFirst(name)
    }

    mutating func prepared(_ key: Key) {
        entries[key]?.preparing = nil
    }

    mutating func failed(_ key: Key) {
        entries[key] = nil
    }

    /// The server's plan is of no use any more.
    mutating func discard(_ key: Key) {
        guard let entry = entries.removeValue(forKey: key) else { return }
        deallocations.append(entry.name)
    }

    /// The server knows none of them any more.
    mutating func forgetAll() {
        entries = entries.filter { $0.value.preparing != nil }
        deallocations = []
    }

    mutating func takeDeallocations() -> [String] {
        defer { deallocations = [] }
        return deallocations
    }

    private mutating func evict() -> Bool {
        guard deallocations.count < PreparedStatementCache.maximumBacklog else { return false }
        let prepared = entries.filter { $0.value.preparing == nil }
        guard let oldest = prepared.min(by: { $0.value.lastUse < $1.value.lastUse }) else { return false }
        discard(oldest.key)
        return true
    }
}
