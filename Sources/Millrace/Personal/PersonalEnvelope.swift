import Crypto

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What is stored in the place of a personal value:
/// `{"$personal": {"subject": "customer/c-7", "key": "<id of the key>", "sealed": "<base64>"}}`, sealed by AES-256-GCM: nonce, ciphertext, tag.
///
/// The seal also covers the event's id, the field and the subject, so that it opens nowhere else.
struct PersonalEnvelope: Sendable, Hashable {
    static let name = "$personal"

    /// Where it stands.
    struct Place {
        let eventID: UUID
        /// Names with dots between them, `[2]` for an element of a list.
        let field: String

        /// Id, then field and subject with their lengths before them, so that no two places give the same bytes.
        fileprivate func bytes(_ subject: String) -> [UInt8] {
            var bytes = withUnsafeBytes(of: eventID.uuid) { Array($0) }
            for text in [field, subject] {
                withUnsafeBytes(of: UInt64(text.utf8.count).bigEndian) { bytes += $0 }
                bytes += text.utf8
            }
            return bytes
        }
    }

    let subject: String
    let keyID: UUID
    let sealed: [UInt8]

    static func sealing(
        _ value: JSONValue,
        for subject: String,
        with key: SubjectKey,
        at place: Place
    ) throws -> PersonalEnvelope {
        let box = try AES.GCM.seal(
            JSON(value).utf8,
            using: SymmetricKey(data: key.bytes),
            authenticating: place.bytes(subject)
        )
        // Twelve bytes of nonce, which is the form that has a combined one.
        guard let combined = box.combined else { throw CryptoKitError.incorrectParameterSize }
        return PersonalEnvelope(subject: subject, keyID: key.id, sealed: Array(combined))
    }

    /// Throws where it was not sealed for this place with this key.
    func opened(with key: SubjectKey, at place: Place) throws -> JSONValue {
        let box = try AES.GCM.SealedBox(combined: sealed)
        let bytes = try AES.GCM.open(box, using: SymmetricKey(data: key.bytes), authenticating: place.bytes(subject))
        return try JSONValue(JSON(utf8: Array(bytes)))
    }
}

extension PersonalEnvelope {
    /// nil where an object that calls itself an envelope is none.
    init?(_ object: JSONObject) {
        guard object.count == 1, let content = object[PersonalEnvelope.name]?.object, content.count == 3,
            let subject = content["subject"]?.string,
            let keyID = content["key"]?.string.flatMap({ UUID(uuidString: $0) }),
            let sealed = content["sealed"]?.string.flatMap({ Data(base64Encoded: $0) })
        else { return nil }
        self.init(subject: subject, keyID: keyID, sealed: Array(sealed))
    }

    var json: JSONValue {
        [
            PersonalEnvelope.name: [
                "subject": .string(subject), "key": .string(keyID.uuidString.lowercased()),
                "sealed": .string(Data(sealed).base64EncodedString()),
            ]
        ]
    }
}

extension JSONValue {
    /// Visits every object that calls itself an envelope, with the path to it; what `change` answers takes its place.
    mutating func changeEnvelopes(at path: String = "", _ change: (JSONObject, String) throws -> JSONValue) rethrows {
        switch self {
        case .null, .bool, .number, .string: return
        case .array(var elements):
            self = .null
            for index in elements.indices {
                try elements[index].changeEnvelopes(at: "\(path)[\(index)]", change)
            }
            self = .array(elements)
        case .object(var object):
            if object[PersonalEnvelope.name] != nil {
                self = try change(object, path)
                return
            }
            for name in object.members.keys.sorted() {
                try object.members[name]?.changeEnvelopes(at: JSONValue.path(path, name.text), change)
            }
            self = .object(object)
        }
    }

    /// Visits what stands at a path of names, in every element of the lists on the way.
    ///
    /// - Parameter blocked: where something stands on the way that has no members.
    mutating func change(
        _ names: ArraySlice<String>,
        at path: String = "",
        _ change: (inout JSONValue, String) throws -> Void,
        blocked: (String) throws -> Void
    ) rethrows {
        guard let name = names.first else { return try change(&self, path) }
        switch self {
        case .null: return
        case .bool, .number, .string: try blocked(path)
        case .array(var elements):
            for index in elements.indices {
                try elements[index].change(names, at: "\(path)[\(index)]", change, blocked: blocked)
            }
            self = .array(elements)
        case .object(var object):
            try object.members[SubjectName(text: name)]?
                .change(names.dropFirst(), at: JSONValue.path(path, name), change, blocked: blocked)
            self = .object(object)
        }
    }

    /// A dot within a name is no way to another field.
    private static func path(_ path: String, _ name: String) -> String {
        var escaped = ""
        for scalar in name.unicodeScalars {
            if ".[\\".unicodeScalars.contains(scalar) { escaped.unicodeScalars.append("\\") }
            escaped.unicodeScalars.append(scalar)
        }
        return path.isEmpty ? escaped : "\(path).\(escaped)"
    }
}
