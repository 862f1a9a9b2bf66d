/// The members of a JSON object. Their order means nothing; of a name that is written twice the last counts.
///
/// Names are compared byte by byte, as PostgreSQL does.
public struct JSONObject: Sendable, Hashable {
    struct Name: Sendable, Hashable, Comparable {
        let text: String

        static func == (left: Name, right: Name) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }
        static func < (left: Name, right: Name) -> Bool { left.text.utf8.lexicographicallyPrecedes(right.text.utf8) }

        func hash(into hasher: inout Hasher) {
            var text = text
            text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        }
    }

    var members: [Name: JSONValue] = [:]

    public init() {}

    /// nil where there is no such member; setting nil takes it away.
    public subscript(name: String) -> JSONValue? {
        get { members[Name(text: name)] }
        set { members[Name(text: name)] = newValue }
        _modify { yield &members[Name(text: name)] }
    }

    /// Sorted by their bytes.
    public var names: [String] { members.keys.sorted().map(\.text) }
    public var count: Int { members.count }
    public var isEmpty: Bool { members.isEmpty }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        for (name, value) in elements { self[name] = value }
    }
}
