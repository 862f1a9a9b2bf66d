import Millrace
import MillracePostgres

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A change of streams that wait, as all of its commands do it: show it, ask where that is needed, do it, say what was done.
struct ParkedChange: Sendable {
    /// So many are shown in a table.
    static let mostShown = 50

    let database: DatabaseOptions
    let output: OutputOptions
    let options: ParkedOptions
    let change: ParkedChangeOptions

    /// - Parameters:
    ///   - plan: what would become of the streams: “would be retried”.
    ///   - done: what became of them.
    ///   - confirmation: nil: nobody is asked.
    ///   - body: does it in the session, or only says what is meant.
    func run(
        plan: String,
        done: String,
        confirmation: Confirmation? = nil,
        _ body:
            @escaping @Sendable (HandlerOperations, _ dryRun: Bool, any PostgresSession) async throws -> [ParkedEvent]
    ) async throws {
        let report = try await database.withStore { [self] store in
            if change.dryRun {
                return made(plan, try await body(store.handlers, true, store.client), try await store.handlers.list())
            }
            if let confirmation, !confirmation.isGiven {
                let meant = made(
                    plan,
                    try await body(store.handlers, true, store.client),
                    try await store.handlers.list()
                )
                if meant.events.isEmpty { return meant }
                try await confirmation.obtain(for: table(meant) + meant.text(for: .error))
            }
            let changed = try await store.withTransaction { try await body(store.handlers, false, $0) }
            return made(done, changed, try await store.handlers.list())
        }
        if report.events.isEmpty, let event = options.event {
            throw Failure(
                .failed,
                "no stream that is meant waits with event \(event.uuidString.lowercased()) at its head: `millrace parked list` shows those that do"
            )
        }
        if output.json {
            try Terminal.output.write(ParkedPage(events: report.events).json)
        } else {
            try Terminal.output.write((change.dryRun ? table(report) : "") + report.text(for: .output))
        }
    }

    private func made(_ predicate: String, _ events: [ParkedEvent], _ handlers: [HandlerStatus]) -> ParkedReport {
        ParkedReport(predicate: predicate, events: events, handlers: handlers, limit: change.limit)
    }

    private func table(_ report: ParkedReport) -> String {
        guard !report.events.isEmpty else { return "" }
        let hidden = report.events.count - ParkedChange.mostShown
        return ParkedPage(events: Array(report.events.prefix(ParkedChange.mostShown))).table(for: Terminal.output)
            + (hidden > 0 ? "and \(hidden.grouped) more\n" : "")
    }
}
