#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension PersonalVault {
    /// An event that is to be stored, taken apart, and whose fields of it are personal.
    private struct Draft {
        let index: Int
        var data: JSONValue
        let fields: [(field: PersonalData.Field, subject: SubjectName)]
    }

    /// The request with its personal fields sealed. No round trip where the keys are known; one for those that are not, and one for streams that hold
    /// somebody's data for the first time.
    ///
    /// Throws ``EventStoreError/invalidEvent(_:hint:)``, ``PersonalDataError/subjectForgotten(_:)``, and what the keys throw: nothing is stored then.
    func sealed(_ request: AppendRequest) async throws -> AppendRequest {
        let events = try await sealed(request.entries.map { (event: $0.event, stream: $0.stream) })
        return request.with(events)
    }

    func sealed(_ events: [(event: NewEvent, stream: StreamID)]) async throws -> [NewEvent] {
        var sealed = events.map(\.event)
        let drafts = try events.enumerated().compactMap { index, entry in
            try draft(index, of: entry.event, in: entry.stream)
        }
        if drafts.isEmpty { return sealed }
        let keys = try await keys(of: Set(drafts.flatMap { $0.fields.map(\.subject) }))
        try await note(
            Set(
                drafts.flatMap { draft in
                    draft.fields.map { Holding(subject: $0.subject, stream: events[draft.index].stream) }
                }
            )
        )
        for var draft in drafts {
            let id = sealed[draft.index].id
            for (field, subject) in draft.fields {
                guard let key = keys[subject] else { throw PersonalDataError.subjectForgotten(subject.text) }
                try draft.data.change(field.path[...]) { value, path in
                    guard value.isSealable else { return }
                    value = try PersonalEnvelope.sealing(
                        value,
                        for: subject.text,
                        with: key,
                        at: PersonalEnvelope.Place(eventID: id, field: path)
                    ).json
                } blocked: { _ in
                }
            }
            sealed[draft.index].data = JSON(draft.data)
        }
        return sealed
    }

    /// nil where nothing of it is personal.
    private func draft(_ index: Int, of event: NewEvent, in stream: StreamID) throws -> Draft? {
        let plan = personal.plan(of: event.type)
        guard plan != nil || event.data.mayName(PersonalEnvelope.name) else { return nil }
        var data: JSONValue
        do {
            data = try JSONValue(event.data)
        } catch {
            throw PersonalVault.refusal(of: event, "event_data is not JSON: \(error)")
        }
        try data.changeEnvelopes { _, path in
            throw PersonalVault.refusal(
                of: event,
                "event_data has “\(PersonalEnvelope.name)” at “\(path)”, which is kept for encrypted values",
                hint:
                    "Give the value another name; a value that was read through a store without PersonalData is still encrypted."
            )
        }
        guard let plan, !data.isNull else { return nil }
        guard data.object != nil else {
            throw PersonalVault.refusal(of: event, "event_data is no object, and “\(event.type)” has personal fields")
        }
        var fields: [(field: PersonalData.Field, subject: SubjectName)] = []
        for field in plan.fields {
            var isThere = false
            try data.change(field.path[...]) { value, _ in
                isThere = isThere || value.isSealable
            } blocked: { path in
                throw PersonalVault.refusal(of: event, "“\(path)” is no object, and “\(field.name)” in it is personal")
            }
            if isThere { fields.append((field, try subject(of: field, in: data, of: event, stream))) }
        }
        return fields.isEmpty ? nil : Draft(index: index, data: data, fields: fields)
    }

    private func subject(
        of field: PersonalData.Field,
        in data: JSONValue,
        of event: NewEvent,
        _ stream: StreamID
    ) throws -> SubjectName {
        let subject: String
        switch field.subject {
        case .aggregate: subject = "\(stream.aggregateType)/\(stream.aggregateID)"
        case .field(let path, let aggregateType):
            let value = PersonalData.names(in: path).reduce(Optional(data)) { $0?[$1] }
            guard let text = value?.string ?? value?.number?.text, !text.isEmpty else {
                throw PersonalVault.refusal(
                    of: event,
                    "“\(field.name)” is personal, and “\(path)”, which says whose it is, is \(value == nil ? "missing" : "no text and no number")",
                    hint: "Publish the subject with the data, or leave “\(field.name)” out."
                )
            }
            subject = aggregateType.map { "\($0)/\(text)" } ?? text
        }
        guard subject.utf8.count <= PersonalData.longestSubject, !subject.utf8.contains(0) else {
            throw PersonalVault.refusal(
                of: event,
                "the subject of “\(field.name)” has a NUL in it or is longer than \(PersonalData.longestSubject) bytes"
            )
        }
        return SubjectName(text: subject)
    }

    private static func refusal(of event: NewEvent, _ message: String, hint: String? = nil) -> EventStoreError {
        .invalidEvent("event \(event.id.uuidString.lowercased()) (“\(event.type)”) is refused: \(message)", hint: hint)
    }
}

extension JSONValue {
    /// What is missing is nobody's, and what is forgotten stays so.
    fileprivate var isSealable: Bool { !isNull && self != .redacted }
}

extension JSON {
    /// Whether a member may have this name: surely not where this says so.
    fileprivate func mayName(_ name: String) -> Bool {
        utf8.withUnsafeBytes { bytes in
            // With an escape in it, any text may be the name.
            bytes.contains("\"\(name)\"") || bytes.contains("\\u")
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Whether these bytes are among them.
    func contains(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { wanted in
            var start = 0
            // The second byte is the rarer one: a quotation mark begins every name.
            while start + wanted.count <= count {
                guard let found = memchr(baseAddress! + start + 1, Int32(wanted[1]), count - start - 1) else {
                    return false
                }
                let begin = baseAddress!.distance(to: UnsafeRawPointer(found)) - 1
                guard begin + wanted.count <= count else { return false }
                if memcmp(baseAddress! + begin, wanted.baseAddress!, wanted.count) == 0 { return true }
                start = begin + 1
            }
            return false
        }
    }
}
