import Millrace
import Synchronization

/// What a person sees while a generation is built: one line that is drawn over and over, on a terminal only; elsewhere a line when nobody
/// builds it.
final class ProjectionProgress: Sendable {
    static let widestBar = 30
    /// Workers learn at their next beat that there is something to build; until then it is no news that nobody does.
    static let grace = Duration.seconds(5)

    private struct State {
        var first: (at: ContinuousClock.Instant, processed: Int64)?
        var aloneSince: ContinuousClock.Instant?
        var isDrawn = false
        var hasSaidNobody = false
    }

    private let terminal: Terminal
    private let state = Mutex(State())

    init(terminal: Terminal = .error) { self.terminal = terminal }

    func show(_ status: ProjectionStatus) {
        state.withLock { state in
            let now = ContinuousClock.now
            let processed = status.processed ?? 0
            let first = state.first ?? (now, processed)
            state.first = first
            let seconds = (now - first.at).seconds
            let rate = seconds > 0 ? Double(processed - first.processed) / seconds : 0
            state.aloneSince = status.isAbandoned ? state.aloneSince ?? now : nil
            let isAlone = state.aloneSince.map { now - $0 >= ProjectionProgress.grace } ?? false
            if terminal.isInteractive {
                state.isDrawn = true
                let figures = isAlone ? status.nobodyText : ProjectionProgress.figures(status, rate: rate)
                terminal.say("\r\u{1B}[2K" + line(status, figures))
            } else if isAlone, !state.hasSaidNobody {
                state.hasSaidNobody = true
                terminal.say("millrace: \(status.label): \(status.nobodyText)\n")
            }
        }
    }

    func clear() {
        state.withLock { state in
            if state.isDrawn { terminal.say("\r\u{1B}[2K") }
            state.isDrawn = false
        }
    }

    private func line(_ status: ProjectionStatus, _ figures: String) -> String {
        let width = (terminal.width ?? 80) - 1
        let share = status.share ?? 0
        let room = width - status.label.count - figures.count - 4
        guard room >= 5 else { return String("\(status.label)  \(figures)".prefix(width)) }
        let cells = min(room, ProjectionProgress.widestBar)
        let full = Int(share * Double(cells))
        let bar =
            terminal.styled(String(repeating: "━", count: full), .green)
            + terminal.styled(String(repeating: "━", count: cells - full), .dim)
        return "\(status.label)  \(bar)  \(figures)"
    }

    /// “45 %  12,300 events/s  1.4 s left”.
    static func figures(_ status: ProjectionStatus, rate: Double) -> String {
        var parts = [status.shareText]
        if rate > 0 { parts.append("\(Int(rate).grouped) events/s") }
        if status.waitingStreams > 0 {
            parts.append(
                "\(status.waitingStreams.grouped) \(status.waitingStreams == 1 ? "stream waits" : "streams wait")"
            )
        }
        if let pending = status.pending, pending.isExact, pending.events > 0,
            let left = ProjectionPace.timeLeft(pending: pending.events, rate: rate)
        {
            parts.append("\(left.brief) left")
        }
        return parts.joined(separator: "  ")
    }
}

extension ProjectionStatus {
    var label: String { "\(projection), generation \(generation)" }
}
