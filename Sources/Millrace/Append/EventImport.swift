import MillracePostgres

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// An event of an import, and the stream it goes to the end of.
public struct ImportEvent: Sendable, Hashable {
    public let event: NewEvent
    public let stream: StreamID

    public init(_ event: NewEvent, to stream: StreamID) {
        self.event = event
        self.stream = stream
    }
}

/// What an import did.
public struct ImportSummary: Sendable, Hashable {
    /// Events that earlier runs of the import had dealt with, and that were passed over.
    public var passedOver: Int64 = 0
    public var stored: Int64 = 0
    /// Events whose id their stream had already: nothing was stored for them.
    public var repeated: Int64 = 0

    public init(passedOver: Int64 = 0, stored: Int64 = 0, repeated: Int64 = 0) {
        self.passedOver = passedOver
        self.stored = stored
        self.repeated = repeated
    }
}

/// How much of an import is one transaction: whichever is reached first.
public struct ImportLimits: Sendable, Hashable {
    /// No more than `max_batch_events` of the store.
    public var events: Int
    /// Of JSON and payloads.
    public var bytes: Int

    public init(events: Int = 10_000, bytes: Int = 8 << 20) {
        precondition(events > 0 && bytes > 0, "a chunk has room for an event")
        self.events = events
        self.bytes = bytes
    }
}

extension EventStore {
    /// Stores events in bulk, each once, however often it is called with the same name and the same events.
    ///
    ///     try await store.importEvents(from: orders, named: "legacy-orders")
    ///
    /// The events go by COPY, a chunk in a transaction, each to the end of its stream, in their order within every stream; others
    /// may append meanwhile. The database remembers under `name` how far the import has come. Called again after an
    /// interruption, it passes over the events that are dealt with, after comparing a hash of them: so `events` must give the same
    /// ones in the same order from the beginning. Their ids may differ. Two processes cannot run an import of one name.
    ///
    /// Two chunks are in memory at most: while one is stored the next one is taken from `events`. Four round trips and the COPY
    /// a chunk. Needs the role `millrace_importer`, which is trusted to write what it likes into the log, if not to change
    /// anything in it: without the right to COPY the same is stored, more slowly.
    ///
    /// - Throws: ``EventStoreError/invalidEvent(_:hint:)``, which names the event by its number from 1, where one is refused, or where
    ///   these are not the events the import began with; other ``EventStoreError``s; what `events` throws. All chunks
    ///   before are stored.
    @discardableResult
    public func importEvents<Events: AsyncSequence>(
        from events: Events,
        named name: String,
        limits: ImportLimits = ImportLimits()
    ) async throws -> ImportSummary where Events.Element == ImportEvent {
        var summary = ImportSummary()
        var hash = RunningHash()
        var iterator = events.makeAsyncIterator()
        let known = try await importProgress(of: name)
        if let known {
            while summary.passedOver < known.lines, let event = try await iterator.next(isolation: #isolation) {
                hash.update(event)
                summary.passedOver += 1
            }
            guard summary.passedOver == known.lines, hash.digest() == known.prefixHash else {
                throw EventStoreError.invalidEvent(
                    "import “\(name)” was of other events: its first \(known.lines) are not these",
                    hint: "Nothing was stored. Give these events an import of another name."
                )
            }
        }
        var chunk = EncodedImport(name: name, resumesAfter: summary.passedOver, hash: hash)
        try await chunk.fill(from: &iterator, limits)
        if chunk.events.isEmpty, known?.finishedAt != nil { return summary }
        while true {
            let current = chunk
            let before = (known?.eventsStored ?? 0) + summary.stored
            async let storing = store(current, eventsBefore: before)
            do {
                if !current.isLast {
                    chunk = EncodedImport(name: name, resumesAfter: current.through, hash: current.hash)
                    try await chunk.fill(from: &iterator, limits)
                }
            } catch {
                // What was taken before stays stored; what goes wrong with it as well is found again by the next run.
                _ = try? await storing
                throw error
            }
            let imported = try await storing
            summary.stored += Int64(imported.stored)
            summary.repeated += Int64(imported.repeated)
            if current.isLast { return summary }
        }
    }
}

/// The next events of an import, ready to be sent.
private struct EncodedImport: Sendable {
    let name: String
    let resumesAfter: Int64
    var hash: RunningHash
    var events: [ImportEvent] = []
    var rows = ImportRows()
    var isLast = false
    /// Whether all that only `import_lines` looks at is beyond doubt.
    var isCertain = true

    init(name: String, resumesAfter: Int64, hash: RunningHash) {
        self.name = name
        self.resumesAfter = resumesAfter
        self.hash = hash
    }

    var through: Int64 { resumesAfter + Int64(events.count) }

    mutating func fill<Iterator: AsyncIteratorProtocol>(
        from iterator: inout Iterator,
        _ limits: ImportLimits
    ) async throws where Iterator.Element == ImportEvent {
        while events.count < limits.events, rows.bytes < limits.bytes {
            guard let event = try await iterator.next(isolation: #isolation) else {
                isLast = true
                return
            }
            hash.update(event)
            isCertain = rows.append(event) && isCertain
            events.append(event)
        }
    }

    /// Throws where what an event calls JSON would say something about the rest of its line.
    func lines() throws(EventStoreError) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        for (index, imported) in events.enumerated() {
            for (field, json) in [("event_data", imported.event.data), ("metadata", imported.event.metadata ?? .null)]
            where !json.isOneValue {
                throw .invalidEvent(
                    "event \(resumesAfter + Int64(index) + 1) of import “\(name)” is refused: \(field) is not JSON",
                    hint: "\(resumesAfter) events before it are dealt with; the import goes on from there."
                )
            }
            lines.append(imported.line)
        }
        return lines
    }
}

extension JSON {
    /// Whether nothing stands behind its first value; what is in the value is for the server to judge.
    fileprivate var isOneValue: Bool {
        utf8.withUnsafeBytes { bytes in
            var cursor = JSONCursor(bytes)
            cursor.skipSpace()
            guard cursor.value() != nil else { return false }
            cursor.skipSpace()
            return cursor.isAtEnd
        }
    }
}

extension ImportEvent {
    /// As `import_lines` takes it.
    fileprivate var line: [UInt8] {
        var line = Array(#"{"event_type":"#.utf8)
        func add(_ name: String, _ value: [UInt8]) {
            line += Array(#","\#(name)":"#.utf8)
            line += value
        }
        line += ImportEvent.quoted(event.type)
        add("aggregate_type", ImportEvent.quoted(stream.aggregateType))
        add("aggregate_id", ImportEvent.quoted(stream.aggregateID))
        add("event_id", ImportEvent.quoted(event.id.uuidString))
        add("event_data", event.data.utf8)
        if let metadata = event.metadata { add("metadata", metadata.utf8) }
        if let occurredAt = event.occurredAt { add("occurred_at", ImportEvent.quoted(occurredAt.rfc3339)) }
        if let payload = event.payload {
            add("payload", ImportEvent.quoted(Data(payload.bytes).base64EncodedString()))
            add("content_type", ImportEvent.quoted(payload.contentType))
        }
        return line + Array("}".utf8)
    }

    private static func quoted(_ text: String) -> [UInt8] {
        var quoted: [UInt8] = [UInt8(ascii: "\"")]
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                quoted += [UInt8(ascii: "\\"), byte]
            case 0..<0x20:
                let digits = String(byte, radix: 16)
                quoted += Array(("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).utf8)
            default:
                quoted.append(byte)
            }
        }
        return quoted + [UInt8(ascii: "\"")]
    }
}

extension ImportRows {
    /// False where the row may not go as it is, because nothing but `import_lines` would refuse it.
    fileprivate mutating func append(_ imported: ImportEvent) -> Bool {
        let event = imported.event
        let occurredAt = event.occurredAt.map(PostgresTimestamp.microseconds)
        // Without the first and the last day of what RFC 3339 can write: nobody has to count microseconds here.
        let isCertain =
            occurredAt.map { ImportRows.certainTimes.contains($0) } ?? true
            && (event.metadata?.utf8.first ?? UInt8(ascii: "{")) == UInt8(ascii: "{")
        withNames(event.type, imported.stream.aggregateType, imported.stream.aggregateID) { fields in
            fields.eventID = event.id
            fields.occurredAt = occurredAt
            event.data.utf8.withUnsafeBytes { data in
                (event.metadata?.utf8 ?? []).withUnsafeBytes { metadata in
                    (event.payload?.bytes ?? []).withUnsafeBytes { payload in
                        Array((event.payload?.contentType ?? "").utf8).withUnsafeBytes { contentType in
                            fields.eventData = data
                            if event.metadata != nil { fields.metadata = metadata }
                            if event.payload != nil {
                                fields.payload = payload
                                fields.contentType = contentType
                            }
                            append(fields)
                        }
                    }
                }
            }
        }
        return isCertain
    }

    /// The 2nd of January of the year 1 to the 30th of December 9999.
    private static let certainTimes: ClosedRange<Int64> =
        -730_118 * 86_400_000_000...2_921_937 * 86_400_000_000

    private func withNames(
        _ type: String,
        _ aggregateType: String,
        _ aggregateID: String,
        _ body: (inout ImportFields) -> Void
    ) {
        Array(type.utf8).withUnsafeBytes { type in
            Array(aggregateType.utf8).withUnsafeBytes { aggregateType in
                Array(aggregateID.utf8).withUnsafeBytes { aggregateID in
                    var fields = ImportFields(eventType: type, aggregateType: aggregateType, aggregateID: aggregateID)
                    body(&fields)
                }
            }
        }
    }
}

extension EventStore {
    /// How often a chunk is sent while the connection is lost.
    private static let importAttempts = 10

    /// Once, however often the connection is lost: the database knows whether the chunk is stored.
    private func store(_ chunk: EncodedImport, eventsBefore: Int64) async throws -> ImportedChunk {
        let step = ImportStep(
            name: chunk.name,
            resumesAfter: chunk.resumesAfter,
            through: chunk.through,
            prefixHash: chunk.hash.digest(),
            isLast: chunk.isLast
        )
        let rows = chunk.events.isEmpty || !chunk.isCertain ? nil : chunk.rows
        var attempt = 1
        while true {
            do {
                return try await importChunk(step, rows) { try chunk.lines() }
            } catch let error as EventStoreError where attempt < EventStore.importAttempts && error.mayPass {
                try await Task.sleep(for: PostgresBackoff().delay(afterFailure: attempt))
                attempt += 1
                guard let known = try? await importProgress(of: chunk.name) else { continue }
                if known.lines == step.through, known.prefixHash == step.prefixHash {
                    let stored = Int(known.eventsStored - eventsBefore)
                    return ImportedChunk(stored: stored, repeated: chunk.events.count - stored)
                }
                if known.lines != step.resumesAfter { throw error }
            } catch let error as EventStoreError where error.mayBeAboutEvents {
                guard let refused = try await refusals(of: chunk.lines()).first else { throw error }
                throw EventStoreError.invalidEvent(
                    "event \(chunk.resumesAfter + Int64(refused.index) + 1) of import “\(chunk.name)” is refused: "
                        + refused.reason,
                    hint: "\(chunk.resumesAfter) events before it are dealt with; the import goes on from there."
                )
            }
        }
    }
}

extension EventStoreError {
    /// May be otherwise in a moment: the connection or the server went away, or another transaction was in the way.
    fileprivate var mayPass: Bool {
        switch self {
        case .postgres(.server(let server)):
            server.sqlState == "MR012" || ["08", "40", "57"].contains(server.sqlState.errorClass)
        case .postgres(.connectionLost), .postgres(.outcomeUnknown), .postgres(.timedOut), .postgres(.cannotConnect):
            true
        case .postgres, .invalidEvent, .partlyRepeated, .versionConflict, .outcomeUnknown, .cannotReadLog,
            .unknownEpoch, .handlerRefused, .projectionRefused, .ledgerRefused, .notMigrated:
            false
        }
    }

    fileprivate var mayBeAboutEvents: Bool {
        switch self {
        case .invalidEvent, .partlyRepeated: true
        case .postgres(.server(let server)): ["22", "23", "54"].contains(server.sqlState.errorClass)
        case .postgres, .versionConflict, .outcomeUnknown, .cannotReadLog, .unknownEpoch, .handlerRefused,
            .projectionRefused, .ledgerRefused, .notMigrated:
            false
        }
    }
}

extension RunningHash {
    /// All of an event but its id, each part with its length, so that no two events give the same bytes.
    fileprivate mutating func update(_ imported: ImportEvent) {
        let event = imported.event
        for text in [event.type, imported.stream.aggregateType, imported.stream.aggregateID] { part(Array(text.utf8)) }
        part(event.data.utf8)
        part(event.metadata?.utf8)
        part(event.occurredAt.map { Array(String(PostgresTimestamp.microseconds($0)).utf8) })
        part(event.payload?.bytes)
        part((event.payload?.contentType).map { Array($0.utf8) })
    }

    private mutating func part(_ bytes: [UInt8]?) {
        withUnsafeBytes(of: Int64(bytes?.count ?? -1).bigEndian) { update($0) }
        if let bytes { update(bytes) }
    }
}
