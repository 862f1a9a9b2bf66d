import MillracePostgres
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What a store does with personal data: seals what is appended, opens what is read.
final class PersonalVault: Sendable {
    /// A stream that holds data of a subject.
    struct Holding: Hashable, Sendable {
        let subject: SubjectName
        let stream: StreamID
    }

    /// Holdings that are known to be noted, at the most.
    private static let notedLimit = 100_000
    private static let note: PostgresStatement = "SELECT millrace.note_subject_streams($1, $2, $3)"

    let personal: PersonalData
    private let client: PostgresClient
    private let noted = Mutex<Set<Holding>>([])

    init(_ personal: PersonalData, client: PostgresClient) {
        self.personal = personal
        self.client = client
    }

    /// The keys in use of subjects. No round trip where all are known, and one otherwise.
    func keys(of subjects: Set<SubjectName>) async throws -> [SubjectName: SubjectKey] {
        var keys: [SubjectName: SubjectKey] = [:]
        var missing: [SubjectName] = []
        for subject in subjects {
            if let key = personal.cache.key(of: subject) { keys[subject] = key } else { missing.append(subject) }
        }
        if missing.isEmpty { return keys }
        missing.sort()
        let moment = personal.cache.moment()
        let taken = try await personal.keys.take(for: missing.map(\.text))
        for (subject, state) in zip(missing, taken) {
            guard case .known(let key) = state else { throw PersonalDataError.subjectForgotten(subject.text) }
            personal.cache.keep(key, of: subject, from: moment)
            keys[subject] = key
        }
        return keys
    }

    /// Keys by their ids; without those that never were. No round trip where all are known, and one otherwise.
    func states(of ids: Set<UUID>) async throws -> [UUID: SubjectKeyState] {
        var states = personal.cache.states(of: ids)
        let missing = ids.filter { states[$0] == nil }
        if missing.isEmpty { return states }
        let moment = personal.cache.moment()
        var read: [UUID: SubjectKeyState] = [:]
        for (id, state) in zip(missing, try await personal.keys.read(Array(missing))) { read[id] = state }
        personal.cache.keep(read, from: moment)
        states.merge(read) { _, new in new }
        return states
    }

    /// Remembers in the database which streams hold data of whom, before they do: what is not known there cannot be forgotten.
    func note(_ holdings: Set<Holding>) async throws {
        let new = noted.withLock { holdings.subtracting($0) }
        if new.isEmpty { return }
        let list = Array(new)
        try await EventStoreError.translating {
            _ = try await client.query(
                PersonalVault.note,
                [
                    .textArray(list.map(\.subject.text)), .textArray(list.map(\.stream.aggregateType)),
                    .textArray(list.map(\.stream.aggregateID)),
                ]
            )
        }
        noted.withLock { noted in
            if noted.count + new.count > PersonalVault.notedLimit { noted.removeAll() }
            noted.formUnion(new)
        }
    }
}
