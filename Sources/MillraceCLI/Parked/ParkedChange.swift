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
    ///   - outcome: what the streams are then: “retried at once”.
    ///   - confirmation: nil: nobody is asked.
    ///   - body: does it in the session, or only says what is meant.
    func run(
        outcome: String,
        confirmation: Confirmation? = nil,
        _ body:
            @escaping @Sendable (HandlerOperations, _ dryRun: Bool, any PostgresSession) async throws -> [ParkedEvent]
    ) async throws {
        let report = try await database.withStore { [self] store in
            var shown: [ParkedEvent]?
            if change.dryRun || confirmation?.isGiven == false {
                let meant = ParkedReport(
                    outcome: outcome,
                    isDone: false,
                    events: try await body(store.handlers, true, store.client),
                    handlers: try await store.handlers.list(),
                    limit: change.limit
                )
                if change.dryRun || meant.events.isEmpty { return meant }
                try await confirmation?.obtain(for: table(meant) + meant.text(for: .error))
                shown = meant.events
            }
            let changed = try await store.withTransaction { [shown] transaction in
                let changed = try await body(store.handlers, false, transaction)
                if let shown { try refuseUnseen(changed, among: shown) }
                return changed
            }
            return ParkedReport(
                outcome: outcome,
                isDone: true,
                events: changed,
                handlers: try await store.handlers.list(),
                limit: change.limit
            )
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

    /// What somebody said yes to is what he was shown, and not what came to wait while he thought about it.
    private func refuseUnseen(_ changed: [ParkedEvent], among shown: [ParkedEvent]) throws {
        let known = Dictionary(grouping: shown, by: \.position).mapValues { Set($0.map(\.handler)) }
        let unseen = changed.count { known[$0.position]?.contains($0.handler) != true }
        if unseen > 0 {
            throw Failure(
                .failed,
                "nothing was changed: meanwhile \(unseen.grouped) more are meant than were shown, so look again"
            )
        }
    }

    private func table(_ report: ParkedReport) -> String {
        guard !report.events.isEmpty else { return "" }
        let hidden = report.events.count - ParkedChange.mostShown
        return ParkedPage(events: Array(report.events.prefix(ParkedChange.mostShown))).table(for: Terminal.output)
            + (hidden > 0 ? "and \(hidden.grouped) more\n" : "")
    }
}
