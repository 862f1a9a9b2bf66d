import Logging
import MillracePostgres

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// How the states of one decider become snapshots and come back.
struct Snapshots<State: Sendable>: Sendable {
    let policy: SnapshotPolicy
    /// Under which name they are kept.
    let decider: String
    let encode: @Sendable (State) throws -> [UInt8]
    let decode: @Sendable ([UInt8]) throws -> State
}

extension Snapshots where State: Codable {
    // Not the JSON of events, which rounds dates: what comes back has to be what a fold gives.
    init(_ policy: SnapshotPolicy, decider: String) {
        self.policy = policy
        self.decider = decider
        encode = { state in
            let encoder = JSONEncoder()
            encoder.nonConformingFloatEncodingStrategy = .convertToString(
                positiveInfinity: "inf",
                negativeInfinity: "-inf",
                nan: "nan"
            )
            return Array(try encoder.encode(state))
        }
        decode = { bytes in
            let decoder = JSONDecoder()
            decoder.nonConformingFloatDecodingStrategy = .convertFromString(
                positiveInfinity: "inf",
                negativeInfinity: "-inf",
                nan: "nan"
            )
            return try decoder.decode(State.self, from: Data(bytes))
        }
    }
}

/// The snapshot that a state was folded on, for the question whether the next one is due.
struct SnapshotBase: Sendable, Hashable {
    /// 0: there was none.
    var version = 0
    /// When it was read.
    var age: Duration?
    /// There was one that could not be decoded.
    var isBroken = false
    /// Since when the state may know what was forgotten meanwhile: when its loading began.
    var loaded: ContinuousClock.Instant?
}

extension Aggregate {
    /// Takes a snapshot where the policy says so. Never fails: what goes wrong is logged. One round trip, or three in a transaction,
    /// where it must not take anything else with it.
    /// - Parameter transaction: of the events, where they are not committed yet.
    /// - Returns: what the next state is folded on.
    func keep(
        _ state: D.State,
        _ version: Int,
        of stream: StreamID,
        on base: SnapshotBase,
        in transaction: PostgresTransaction? = nil
    ) async -> SnapshotBase {
        guard let snapshots,
            base.isBroken && version > 0 || snapshots.policy.isDue(following: version - base.version, last: base.age)
        else { return base }
        do {
            let bytes = try snapshots.encode(state)
            var parameters: [PostgresValue] = [
                .text(stream.aggregateType), .text(stream.aggregateID), .text(snapshots.decider),
                .int4(Int32(snapshots.policy.shape)), .int4(Int32(clamping: version)), .json(bytes),
            ]
            var statement = Statements.saveSnapshot
            if store.vault != nil {
                statement = Statements.savePersonalSnapshot
                let age = base.loaded.map { ContinuousClock.now - $0 } ?? .zero
                parameters.append(.float8((age + PersonalData.keyLifetime) / .seconds(1)))
            }
            let (save, values) = (statement, parameters)
            if let transaction {
                try await transaction.withSavepoint {
                    // Without a limit of time: it would cost the connection, and with it the transaction.
                    _ = try await $0.query(save, values)
                }
            } else {
                try await store.client.query(save, values, timeout: SnapshotPolicy.saveTimeout)
            }
            return SnapshotBase(version: version, age: .zero, loaded: base.loaded)
        } catch {
            if !Task.isCancelled {
                store.logger.warning(
                    "a snapshot was not stored",
                    metadata: ["stream": "\(stream)", "version": "\(version)", "error": "\(error)"]
                )
            }
            return base
        }
    }
}

extension EventStore {
    /// Deletes the snapshots of an aggregate type, or of one aggregate: the next load reads the stream from its beginning. One round trip.
    /// - Returns: how many there were.
    @discardableResult
    public func discardSnapshots(of aggregateType: String, id: String? = nil) async throws -> Int {
        try await EventStoreError.translating {
            try await client.query(Statements.discardSnapshots, [.text(aggregateType), .text(id)]).single()
                .decode(Int.self, at: 0)
        }
    }
}
