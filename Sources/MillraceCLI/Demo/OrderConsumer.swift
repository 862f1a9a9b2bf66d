import Millrace
import MillracePostgres

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The three consumers of the demo. Each is a handler that receives every event and writes what it makes of it in the transaction in which its
/// checkpoint moves: exactly once, whatever is killed when.
enum OrderConsumer: String, CaseIterable, Sendable {
    case billing
    case shipping
    case revenue

    var handlerName: String { "demo.\(rawValue)" }

    /// - Parameter start: where the run begins. Where the handler is left over from a run that was killed, it goes on behind that.
    func handler(run: String, from start: Position, progress: DemoProgress) -> Handler {
        let options = HandlerOptions(lanes: 4, beginning: .after(start))
        return .batches(handlerName, options: options) { events, context in
            let events = events.filter { $0.stream.aggregateID.hasPrefix(run + "-") }
            try await record(events, run: run, in: context.transaction)
            try await act(on: events, run: run, in: context.transaction)
            progress.handled(events, by: self)
            return .done
        }
    }

    private func record(
        _ events: [RecordedEvent],
        run: String,
        in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            DemoSQL.record,
            [
                .text(run), .text(rawValue),
                .int8Array(events.map(\.position.rawValue)),
                .textArray(events.map(\.stream.aggregateType)),
                .textArray(events.map(\.stream.aggregateID)),
                .int4Array(events.map { Int32($0.version) }),
            ]
        )
    }

    private func act(on events: [RecordedEvent], run: String, in transaction: PostgresTransaction) async throws {
        let paid = events.filter { $0.type == PaymentCompleted.eventType }
        let canceled = events.filter { $0.type == OrderCanceled.eventType }
        guard !paid.isEmpty || !canceled.isEmpty else { return }
        let payments = try paid.map { try $0.decode(PaymentCompleted.self).cents }
        switch self {
        case .billing:
            try await transaction.query(
                DemoSQL.billing,
                [.text(run), .textArray(paid.map(\.stream.aggregateID)), .int8Array(payments)]
            )
        case .shipping:
            try await transaction.query(
                DemoSQL.shipping,
                [
                    .text(run), .textArray(paid.map(\.stream.aggregateID)),
                    .textArray(canceled.map(\.stream.aggregateID)),
                ]
            )
        case .revenue:
            let refunds = try canceled.map { try $0.decode(OrderCanceled.self).refund }
            let cents = payments.reduce(0, +) - refunds.reduce(0, +)
            try await transaction.query(DemoSQL.revenue, [.text(run), .int8(Int64(paid.count)), .int8(cents)])
        }
    }
}

/// The demo's own statements, compiled in from Demo/SQL.
enum DemoSQL {
    static let schema = String(decoding: PackageResources.demo_schema_sql, as: UTF8.self)
    static let forget = statement(PackageResources.demo_forget_sql)
    static let record = statement(PackageResources.demo_record_sql)
    static let billing = statement(PackageResources.demo_billing_sql)
    static let shipping = statement(PackageResources.demo_shipping_sql)
    static let revenue = statement(PackageResources.demo_revenue_sql)
    static let stored = statement(PackageResources.demo_stored_sql)
    static let handled = statement(PackageResources.demo_handled_sql)
    static let effects = statement(PackageResources.demo_effects_sql)

    private static func statement(_ bytes: [UInt8]) -> PostgresStatement {
        PostgresStatement(utf8: bytes)
    }
}
