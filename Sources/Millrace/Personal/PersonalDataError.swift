#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// Why personal data could not be sealed, opened or forgotten.
public enum PersonalDataError: Error, Sendable, Hashable {
    /// Personal data of somebody who was forgotten were to be appended; nothing was stored. ``EventStore/renew(_:reason:)`` lets them in again.
    case subjectForgotten(String)
    /// What stands in the field is not what was sealed for it: it was changed, or moved there from another event or field, or its key was never known here.
    case unreadable(eventID: UUID, position: Position, stream: StreamID, field: String, reason: String)
    /// Nothing was ever sealed for it: there is nothing to forget, or to renew.
    case unknownSubject(String)
    /// The store was made without ``PersonalData``.
    case notDeclared
    /// The keys' folder cannot be used, or holds what no key is.
    case keys(_ message: String)
}

extension PersonalDataError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .subjectForgotten(let subject):
            "not appended: “\(subject)” was forgotten, and the event has personal data of it. Leave them out, or renew the subject first"
        case .unreadable(let id, let position, let stream, let field, let reason):
            "the personal field “\(field)” of event \(id.uuidString.lowercased()) at position \(position) (of \(stream)) cannot be opened: \(reason)"
        case .unknownSubject(let subject):
            "there is no subject “\(subject)”: no key was ever made for it. A subject is written as the events have it, such as customer/c-7"
        case .notDeclared:
            "the store knows of no personal data: make it with EventStore(client, personal: …)"
        case .keys(let message): message
        }
    }
}
