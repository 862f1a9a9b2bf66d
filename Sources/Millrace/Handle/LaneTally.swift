import MillracePostgres

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What one transaction of a lane has to tell `millrace.settle_lane`, gathered event by event.
struct LaneTally: Sendable {
    /// What the audit calls the end of an attempt.
    enum Status: String, Sendable {
        case success, retrying, parked, discarded
        /// In a replay, where nothing comes of it.
        case failed
    }

    static let buckets = 64

    private struct Counts {
        let type: String
        var processed: Int64 = 0
        var discarded: Int64 = 0
        var attempts: Int64 = 0
        var microseconds: Int64 = 0
        var latencies = [Int64](repeating: 0, count: LaneTally.buckets)
    }

    private struct Audited {
        var positions: [Int64?] = []
        var ids: [UUID?] = []
        var types: [String?] = []
        var attempts: [Int32?] = []
        var statuses: [String?] = []
        var errors: [String?] = []
        var microseconds: [Int64?] = []
    }

    /// A change of a stream that waits; see `millrace.set_aside`.
    private struct Change: Encodable {
        let change: String
        let aggregateType: String
        let aggregateID: String
        var position: Int64?
        var eventID: UUID?
        var eventType: String?
        var version: Int?
        var attempts: Int?
        var error: String?
        var errorKind: String?
        var waitMilliseconds: Int64?
        var waiting: Int?

        enum CodingKeys: String, CodingKey {
            case change, position, version, attempts, error, waiting
            case aggregateType = "aggregate_type"
            case aggregateID = "aggregate_id"
            case eventID = "event_id"
            case eventType = "event_type"
            case errorKind = "error_kind"
            case waitMilliseconds = "wait_ms"
        }

        init(_ change: String, _ stream: StreamID) {
            self.change = change
            aggregateType = stream.aggregateType
            aggregateID = stream.aggregateID
        }
    }

    private let audit: HandlerOptions.Audit
    private var counts: [Counts] = []
    private var audited = Audited()
    private var changes: [Change] = []
    private var passed: [StreamID: Int] = [:]
    /// Of a replay.
    private var failures = 0

    init(audit: HandlerOptions.Audit) { self.audit = audit }

    /// Whether it is dealt with: handled or discarded, and not set aside again.
    func wasSettled(_ event: RecordedEvent) -> Bool { !changes.contains { $0.position == event.position.rawValue } }

    var hasFailures: Bool { changes.contains { $0.error != nil } }
    var processed: Int { Int(counts.reduce(0) { $0 + $1.processed }) }

    // MARK: Gathering

    mutating func processed(_ event: RecordedEvent, attempt: Int, in duration: Duration) {
        let microseconds = duration.microseconds
        count(event) { counts in
            counts.processed += 1
            counts.attempts += 1
            counts.microseconds += microseconds
            counts.latencies[LaneTally.bucket(of: microseconds)] += 1
        }
        if audit == .all { note(event, attempt, .success, nil, microseconds) }
    }

    mutating func discarded(_ event: RecordedEvent, attempts: Int, because reason: String?) {
        count(event) { $0.discarded += 1 }
        if audit != .none { note(event, attempts, .discarded, reason, 0) }
    }

    /// - Parameters:
    ///   - wait: until it is handled again; nil: it is parked.
    ///   - waiting: how many events of its stream wait behind it.
    mutating func failed(
        _ event: RecordedEvent,
        attempt: Int,
        _ failure: HandlerFailure,
        wait: Duration?,
        waiting: Int,
        in duration: Duration
    ) {
        count(event) { $0.attempts += 1 }
        if audit != .none {
            note(event, attempt, wait == nil ? .parked : .retrying, failure.message, duration.microseconds)
        }
        var change = head(event, attempts: attempt, waiting: waiting)
        change.error = failure.message
        change.errorKind = failure.kind
        change.waitMilliseconds = wait.map { $0.milliseconds }
        changes.append(change)
    }

    /// It failed where it was handled once more.
    mutating func failedAgain(_ event: RecordedEvent, _ failure: HandlerFailure, in duration: Duration) {
        failures += 1
        if audit != .none { note(event, 1, .failed, failure.message, duration.microseconds) }
    }

    /// The event is the next of its stream's to be handled, at once.
    mutating func isNext(_ event: RecordedEvent, waiting: Int) {
        var change = head(event, attempts: 0, waiting: waiting)
        change.waitMilliseconds = 0
        changes.append(change)
    }

    /// Its stream waits, and it waits behind.
    mutating func passedBy(_ stream: StreamID) { passed[stream, default: 0] += 1 }

    /// Nothing of it waits any more.
    mutating func freed(_ stream: StreamID) { changes.append(Change("free", stream)) }

    private func head(_ event: RecordedEvent, attempts: Int, waiting: Int) -> Change {
        var change = Change("fail", event.stream)
        change.position = event.position.rawValue
        change.eventID = event.id
        change.eventType = event.type
        change.version = event.version
        change.attempts = attempts
        change.waiting = waiting
        return change
    }

    private mutating func count(_ event: RecordedEvent, _ change: (inout Counts) -> Void) {
        if let index = counts.firstIndex(where: { event.hasType($0.type) }) { return change(&counts[index]) }
        counts.append(Counts(type: event.type))
        change(&counts[counts.count - 1])
    }

    private mutating func note(
        _ event: RecordedEvent,
        _ attempt: Int,
        _ status: Status,
        _ error: String?,
        _ microseconds: Int64
    ) {
        audited.positions.append(event.position.rawValue)
        audited.ids.append(event.id)
        audited.types.append(event.type)
        audited.attempts.append(Int32(clamping: attempt))
        audited.statuses.append(status.rawValue)
        audited.errors.append(error)
        audited.microseconds.append(microseconds)
    }

    /// Two buckets for each doubling, the first for one microsecond; from 0.
    static func bucket(of microseconds: Int64) -> Int {
        guard microseconds > 1 else { return 0 }
        let doublings = 63 - microseconds.leadingZeroBitCount
        // Whether it lies in the upper half of its doubling: at or above the square root of two, compared in whole numbers.
        let value = Double(microseconds) / Double(Int64(1) << doublings)
        return min(doublings * 2 + (value >= 2.0.squareRoot() ? 1 : 0), buckets - 1)
    }

    // MARK: Telling

    private static let settle: PostgresStatement = """
        SELECT millrace.settle_lane($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
        """

    private static let settleReplay: PostgresStatement = """
        SELECT millrace.settle_replay($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        """

    /// What a part of a replay has to tell `millrace.settle_replay`: counts of the log's events stay as they are.
    func call(_ handler: String, _ lease: LaneLease, replay: Int64, to position: Position, worker: String)
        -> PostgresCall
    {
        PostgresCall(
            LaneTally.settleReplay,
            [
                .text(handler), .int4(Int32(lease.lane)), .int8(lease.token), .int8(replay), .int8(position.rawValue),
                .text(worker), .int8(Int64(processed)), .int8(Int64(failures)),
            ] + auditParameters
        )
    }

    private var auditParameters: [PostgresValue] {
        [
            .int8Array(audited.positions), .uuidArray(audited.ids), .textArray(audited.types),
            .int4Array(audited.attempts),
            .textArray(audited.statuses), .textArray(audited.errors), .int8Array(audited.microseconds),
        ]
    }

    func call(_ handler: String, _ lease: LaneLease, to position: Position, storedAt: Date?, worker: String) throws
        -> PostgresCall
    {
        var changes = changes
        for (stream, count) in passed {
            var change = Change("wait", stream)
            change.waiting = count
            changes.append(change)
        }
        var numbers: [Int64?] = []
        var latencies: [Int64?] = []
        for counts in counts {
            numbers += [counts.processed, counts.discarded, counts.attempts, counts.microseconds]
            latencies += counts.latencies.map { $0 }
        }
        return PostgresCall(
            LaneTally.settle,
            [
                .text(handler), .int4(Int32(lease.lane)), .int8(lease.token), .int8(position.rawValue),
                .timestamptz(storedAt),
                .text(worker),
                .textArray(counts.map(\.type)), .int8Array(numbers), .int8Array(latencies),
            ] + auditParameters + [.jsonb(changes.isEmpty ? nil : try JSON(encoding: changes).utf8)]
        )
    }
}

/// A worker's hold of a lane.
struct LaneLease: Sendable, Hashable {
    let lane: Int
    let token: Int64
}

extension Duration {
    var microseconds: Int64 { components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000 }
    var milliseconds: Int64 { components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000 }
}
