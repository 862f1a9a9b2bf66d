import MillracePostgres

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// What forgetting a subject did, or would do.
public struct ForgettingReceipt: Sendable, Hashable {
    /// A projection that is built anew.
    public struct Rebuild: Sendable, Hashable {
        public let projection: String
        public let generation: Int
    }

    public let subject: String
    public let reason: String
    /// All that the subject ever had; none of them is there any more.
    public let keyIDs: [UUID]
    /// By the database's clock; nil: nothing was done.
    public let forgottenAt: Date?
    /// That may have held something of it.
    public let streams: [StreamID]
    /// In which something of it is sealed.
    public let events: Int
    public let snapshotsDiscarded: Int
    public let rebuilds: [Rebuild]
    /// Projections that were not named: whether they show something of it only their owner knows.
    public let mayStillShow: [String]
}

extension EventStore {
    private static let forgetSubject: PostgresStatement = """
        SELECT forgotten_at, key_ids::text[], snapshots FROM millrace.forget_subject($1, $2, $3::text[]::uuid[], $4)
        """
    private static let subjectStreams: PostgresStatement = """
        SELECT aggregate_type, aggregate_id, snapshots FROM millrace.list_subject_streams($1)
        """
    private static let recordRenewal: PostgresStatement = "SELECT millrace.record_renewal($1, $2)"

    /// Destroys a subject's key: whatever is sealed with it is read as ``Personal/redacted`` from now on, and no event is changed.
    ///
    /// What was made with this store's ``PersonalData`` knows it no more when this returns; other processes may for ``PersonalData/keyLifetime``. Events
    /// that they append meanwhile are stored, and are forgotten. The snapshots of the subject's streams are discarded. Projections keep
    /// what they were told: those that are named are built anew, once no process can know the key any more, for which this waits.
    ///
    /// Interrupted, it is finished by calling it again. Round trips: a few, and the reading of the subject's streams. Needs `millrace_admin`, and
    /// `millrace_consumer` to read.
    ///
    /// - Parameters:
    ///   - reason: is recorded.
    ///   - projections: whose read models may show something of it.
    ///   - dryRun: say what would happen; change nothing.
    /// - Throws: ``PersonalDataError/unknownSubject(_:)``; ``EventStoreError``; what the keys throw.
    @discardableResult
    public func forget(
        _ subject: String,
        reason: String,
        rebuilding projections: [String] = [],
        dryRun: Bool = false
    ) async throws -> ForgettingReceipt {
        try await forget(subject, reason: reason, rebuilding: projections, dryRun: dryRun) {
            try await Task.sleep(for: PersonalData.keyLifetime)
        }
    }

    /// - Parameter outlive: waits until no process can know a key that it read before.
    func forget(
        _ subject: String,
        reason: String,
        rebuilding projections: [String],
        dryRun: Bool,
        _ outlive: () async throws -> Void
    ) async throws -> ForgettingReceipt {
        guard let vault else { throw PersonalDataError.notDeclared }
        // Nothing is destroyed for a name that is misspelt.
        let registered = try await self.projections.list().map(\.projection)
        for name in projections where !registered.contains(name) { _ = try await self.projections.list(of: name) }
        let holdings = try await holdings(of: subject)
        let streams = holdings.map(\.stream)
        var keyIDs = try await vault.personal.keys.ids(of: subject)
        guard !keyIDs.isEmpty || !streams.isEmpty else { throw PersonalDataError.unknownSubject(subject) }
        let events = try await countEvents(of: subject, in: streams)
        var (forgottenAt, snapshots): (Date?, Int) = (nil, holdings.reduce(0) { $0 + $1.snapshots })
        var rebuilds: [ForgettingReceipt.Rebuild] = []
        if !dryRun {
            // Also where it fails half-way: what is destroyed is not to be remembered.
            defer { vault.personal.cache.forget() }
            keyIDs = try await vault.personal.keys.forget(subject)
            vault.personal.cache.forget()
            let row = try await record(subject, reason, keyIDs, events: events)
            (forgottenAt, snapshots) = (row.forgottenAt, row.snapshots)
            keyIDs = row.keyIDs
            if !projections.isEmpty { try await outlive() }
            for name in projections {
                rebuilds.append(
                    ForgettingReceipt.Rebuild(projection: name, generation: try await self.projections.rebuild(name))
                )
            }
        }
        return ForgettingReceipt(
            subject: subject,
            reason: reason,
            keyIDs: keyIDs,
            forgottenAt: forgottenAt,
            streams: streams,
            events: events,
            snapshotsDiscarded: snapshots,
            rebuilds: rebuilds,
            mayStillShow: Set(registered).subtracting(projections).sorted()
        )
    }

    /// Gives a forgotten subject a new key, so that its personal data can be appended again; what was forgotten stays so. Nothing happens where it was
    /// not forgotten. Needs `millrace_admin`.
    ///
    /// - Throws: ``PersonalDataError/unknownSubject(_:)``; ``EventStoreError``; what the keys throw.
    public func renew(_ subject: String, reason: String) async throws {
        guard let vault else { throw PersonalDataError.notDeclared }
        guard try await !vault.personal.keys.ids(of: subject).isEmpty else {
            throw PersonalDataError.unknownSubject(subject)
        }
        try await EventStoreError.translating {
            _ = try await client.query(EventStore.recordRenewal, [.text(subject), .text(reason)])
        }
        try await vault.personal.keys.renew(subject)
    }

    private func holdings(of subject: String) async throws -> [(stream: StreamID, snapshots: Int)] {
        try await EventStoreError.translating {
            try await client.query(EventStore.subjectStreams, [.text(subject)]).map { row in
                let (type, id, snapshots) = try row.decode(String.self, String.self, Int64.self)
                return (StreamID(type, id), Int(snapshots))
            }
        }
    }

    private func record(
        _ subject: String,
        _ reason: String,
        _ keyIDs: [UUID],
        events: Int
    ) async throws -> (forgottenAt: Date, keyIDs: [UUID], snapshots: Int) {
        let details: JSONValue = ["events": .number(JSONNumber(events))]
        return try await EventStoreError.translating {
            let row = try await client.query(
                EventStore.forgetSubject,
                [
                    .text(subject), .text(reason), .textArray(keyIDs.map(\.uuidString)), .jsonb(JSON(details).utf8),
                ]
            ).single()
            let (time, ids, snapshots) = try row.decode(Date.self, [String].self, Int64.self)
            return (time, ids.compactMap { UUID(uuidString: $0) }, Int(snapshots))
        }
    }

    private func countEvents(of subject: String, in streams: [StreamID]) async throws -> Int {
        let subject = SubjectName(text: subject)
        var count = 0
        for stream in streams {
            var next: Int? = 1
            while let version = next {
                try Task.checkCancellation()
                let page = try await readStreamPage(
                    stream,
                    from: version,
                    through: nil,
                    direction: .forwards,
                    limit: StreamReader.pageSize,
                    in: nil
                )
                for event in page where event.mayHoldEnvelope {
                    var isOfSubject = false
                    var data = try JSONValue(event.data)
                    data.changeEnvelopes { object, _ in
                        if let envelope = PersonalEnvelope(object), SubjectName(text: envelope.subject) == subject {
                            isOfSubject = true
                        }
                        return .object(object)
                    }
                    if isOfSubject { count += 1 }
                }
                next = page.count == StreamReader.pageSize ? page.last.map { $0.version + 1 } : nil
            }
        }
        return count
    }
}
