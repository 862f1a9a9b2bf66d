import Millrace
import MillracePostgres

/// What the tables say of a finished run, beside what the producers counted.
struct DemoSummary: Encodable {
    struct Check: Encodable {
        let claim: String
        let detail: String
        let holds: Bool
    }

    let run: String
    let published: Int
    let stored: Int
    let streams: Int
    let checks: [Check]

    var allHold: Bool { checks.allSatisfy(\.holds) }

    init(of run: String, after start: Position, published: Int, client: PostgresClient) async throws {
        let stored = try await client.query(DemoSQL.stored, [.text(run), .int8(start.rawValue)])[0]
        let events = try stored.decode(Int.self, named: "events")
        let streams = try stored.decode(Int.self, named: "streams")
        var checks = [
            Check(
                claim: "stored = published",
                detail: "\(events.grouped) of \(published.grouped), in \(streams.grouped) streams",
                holds: events == published
            )
        ]
        let handled = try await client.query(DemoSQL.handled, [.text(run)])
        for consumer in OrderConsumer.allCases {
            checks.append(try DemoSummary.check(consumer, rows: handled, stored: events))
        }
        checks += try await DemoSummary.moneyChecks(run: run, stored: stored, client: client)
        self.run = run
        self.published = published
        self.stored = events
        self.streams = streams
        self.checks = checks
    }

    private static func check(_ consumer: OrderConsumer, rows: PostgresRows, stored: Int) throws -> Check {
        let row = try rows.first { try $0.decode(String.self, named: "consumer") == consumer.rawValue }
        let handled = try row?.decode(Int.self, named: "handled") ?? 0
        let repeated = try row?.decode(Int.self, named: "repeated") ?? 0
        let outOfOrder = try row?.decode(Int.self, named: "out_of_order") ?? 0
        return Check(
            claim: "\(consumer.rawValue) handled each once, in order",
            detail: "\(handled.grouped) handled, \(repeated.grouped) twice, \(outOfOrder.grouped) out of order",
            holds: handled == stored && repeated == 0 && outOfOrder == 0
        )
    }

    private static func moneyChecks(run: String, stored: PostgresRow, client: PostgresClient) async throws -> [Check] {
        let paid = try stored.decode(Int64.self, named: "paid")
        let refunded = try stored.decode(Int64.self, named: "refunded")
        let effects = try await client.query(DemoSQL.effects, [.text(run)])[0]
        let invoiced = try effects.decode(Int64.self, named: "invoiced")
        let revenue = try effects.decode(Int64.self, named: "revenue")
        let packing = try effects.decode(Int64.self, named: "packing")
        let stopped = try effects.decode(Int64.self, named: "stopped")
        return [
            Check(
                claim: "invoices = payments",
                detail: "\(money(invoiced)) of \(money(paid))",
                holds: invoiced == paid
            ),
            Check(
                claim: "revenue = payments less refunds",
                detail: "\(money(revenue)) = \(money(paid)) − \(money(refunded)); "
                    + "\(packing.grouped) orders packing, \(stopped.grouped) stopped",
                holds: revenue == paid - refunded
            ),
        ]
    }

    private static func money(_ cents: Int64) -> String {
        "\((cents / 100).grouped).\(cents % 100 < 10 ? "0" : "")\(cents % 100)"
    }
}
