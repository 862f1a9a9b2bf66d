import Foundation
import Logging
import MillracePostgres
import Synchronization
import Testing

@testable import Millrace

/// Somebody whose name and address are his own business.
struct CustomerRegistered: TypedEvent, Hashable {
    static let eventType = "customer.registered"
    var name: Personal<String>
    var address: Personal<[String: String]>?
    var plan = "basic"
}

enum CustomerEvent: DomainEvent {
    case registered(CustomerRegistered)

    static let types = EventTypes<CustomerEvent>().on(CustomerRegistered.self, CustomerEvent.registered)

    var payload: any TypedEvent {
        switch self {
        case .registered(let event): event
        }
    }
}

struct Customer: Decider {
    struct State: Codable, Hashable, Sendable {
        var names: [Personal<String>] = []
    }

    static let aggregateType = "customer"
    var initialState: State { State() }

    func decide(_ command: String, _ state: State) -> [CustomerEvent] {
        [.registered(CustomerRegistered(name: .value(command)))]
    }

    func evolve(_ state: inout State, _ event: CustomerEvent) {
        switch event {
        case .registered(let event): state.names.append(event.name)
        }
    }
}

/// Where keys are kept.
enum KeyKeeping: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case database
    case folder
    var testDescription: String { rawValue }
}

/// A clock that stands still until it is told to go on.
final class StandingClock: Sendable {
    private let time = Mutex(ContinuousClock.now)
    var now: ContinuousClock.Instant { time.withLock { $0 } }
    func advance(by duration: Duration) { time.withLock { $0 += duration } }
}

/// A store in a database of the test's own, and where the keys of its personal data are.
struct CustomerTest: Sendable {
    let client: PostgresClient
    let keeping: KeyKeeping
    let folder: String

    static func with(_ keeping: KeyKeeping = .database, _ body: (CustomerTest) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "millrace-keys-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await withStore { store in
            try await body(CustomerTest(client: store.client, keeping: keeping, folder: folder))
        }
    }

    /// As a process of its own would make it.
    func personal(now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) -> PersonalData {
        let personal =
            switch keeping {
            case .database: PersonalData(keys: .inDatabase(client), now: now)
            case .folder: PersonalData(keys: .inFolder(folder), now: now)
            }
        return
            personal
            .field("customer.registered", "name", of: .aggregate)
            .field("customer.registered", "address", of: .aggregate)
            .field("order.created", "deliver_to.street", of: .field("customer_id", in: "customer"))
            .field("order.created", "items.engraving", of: .field("customer_id", in: "customer"))
    }

    var keys: any SubjectKeys { personal().keys }

    func store(
        upcasters: Upcasters = Upcasters(),
        projecting: [Projection]? = nil,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
    ) -> EventStore {
        var logger = Logger(label: "millrace.tests")
        logger.logLevel = .critical
        return EventStore(
            client,
            upcasters: upcasters,
            personal: personal(now: now),
            projecting: projecting,
            logger: logger
        )
    }

    /// Everything that the event's rows are, to the byte.
    func rows() async throws -> [String?] {
        try await client.texts("SELECT e::text FROM millrace.events AS e ORDER BY e.id")
    }
}
