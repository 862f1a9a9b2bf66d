/// Which fields of events are personal, and whose they are: they are stored encrypted with a key of that subject, and once the key is destroyed they
/// can be read by nobody any more, while what is stored stays as it is.
///
///     let personal = PersonalData(keys: .inDatabase(client))
///         .field("customer.registered", "name", of: .aggregate)
///         .field("customer.registered", "address.street", of: .aggregate)
///         .field("order.created", "deliver_to", of: .field("customer_id", in: "customer"))
///     let store = EventStore(client, personal: personal)
///
/// Whatever is appended through the store is sealed, whatever is read through it opened; a forgotten value is read as ``Personal/redacted``.
/// Declarations that contradict each other stop the program where they are made. Copies share the keys they remember.
public struct PersonalData: Sendable {
    /// How long a key that was read may be used: so long after ``EventStore/forget(_:reason:rebuilding:)`` other processes may still know it. In
    /// what was made with the same value of this type it is gone at once.
    public static let keyLifetime: Duration = .seconds(10)
    /// Keys that are remembered at the most.
    public static let keyLimit = 10_000
    /// Of a subject, in bytes.
    public static let longestSubject = 1000

    /// Whose a field is.
    public enum Subject: Sendable, Hashable {
        /// The aggregate that the event is of: the subject “customer/c-7” for the stream of that name.
        case aggregate
        /// The text or number in another field of the event: the subject “c-7”, or “customer/c-7” where it is in `aggregateType`.
        case field(_ path: String, in: String? = nil)
    }

    struct Field: Sendable {
        let path: [String]
        let subject: Subject

        var name: String { path.joined(separator: ".") }
    }

    /// The personal fields of a type.
    struct Plan: Sendable {
        let type: String
        var fields: [Field] = []
    }

    let keys: any SubjectKeys
    let cache: SubjectKeyCache
    private(set) var plans: [Plan] = []

    /// - Parameter keys: where they are kept: ``SubjectKeys/inDatabase(_:)``, ``SubjectKeys/inFolder(_:)``, or what you make.
    public init(keys: some SubjectKeys) {
        self.init(keys: keys, now: { .now })
    }

    init(keys: some SubjectKeys, now: @escaping @Sendable () -> ContinuousClock.Instant) {
        self.keys = keys
        cache = SubjectKeyCache(now: now)
    }

    /// Declares a field of a type's data personal: whatever JSON stands there, a whole object too. Where nothing or null does, there is nothing to seal.
    ///
    /// - Parameters:
    ///   - type: of the events, as they are appended.
    ///   - path: the names that lead there, with dots between them; through a list, to the field of each element.
    public func field(_ type: String, _ path: String, of subject: Subject) -> PersonalData {
        precondition(!type.isEmpty, "personal data are of a type of event: name it")
        let field = Field(path: PersonalData.names(in: path), subject: subject)
        var personal = self
        let index = plans.firstIndex { $0.type.hasSameBytes(as: type) } ?? plans.count
        if index == plans.count { personal.plans.append(Plan(type: type)) }
        personal.plans[index].fields.append(field)
        personal.plans[index].check()
        return personal
    }

    func plan(of type: String) -> Plan? { plans.first { $0.type.hasSameBytes(as: type) } }

    static func names(in path: String) -> [String] {
        let names = path.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        precondition(
            names.allSatisfy { !$0.isEmpty },
            "“\(path)” leads to no field: write the names with single dots between them, such as address.street"
        )
        return names
    }
}

extension PersonalData.Plan {
    fileprivate func check() {
        for (index, field) in fields.enumerated() {
            for other in fields[..<index] where field.overlaps(other.path) {
                preconditionFailure(
                    "“\(field.name)” and “\(other.name)” of “\(type)” are both personal, and one holds the other: declare the larger one only"
                )
            }
            guard case .field(let path, _) = field.subject else { continue }
            for other in fields where other.overlaps(PersonalData.names(in: path)) {
                preconditionFailure(
                    "“\(path)” of “\(type)” says whose “\(field.name)” is, and would be encrypted itself with “\(other.name)”: a subject is "
                        + "stored in the clear, so name persons by an id that says nothing"
                )
            }
        }
    }
}

extension PersonalData.Field {
    fileprivate func overlaps(_ other: [String]) -> Bool {
        zip(path, other).allSatisfy { $0.hasSameBytes(as: $1) }
    }
}
