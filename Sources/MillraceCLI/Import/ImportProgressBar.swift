/// What a person sees while an import runs: one line that is drawn over and over, on a terminal only.
struct ImportProgressBar {
    static let shortestInterval = Duration.milliseconds(100)
    static let widestBar = 30

    /// Where the import is.
    struct State {
        var lines: Int64
        var events: Int64
        /// Bytes of the input read.
        var bytes: Int64
    }

    private let terminal: Terminal
    private let label: String
    private let size: Int64?
    private let isShown: Bool
    private var drawnAt: ContinuousClock.Instant?

    init(terminal: Terminal = .error, label: String, size: Int64?, isShown: Bool) {
        self.terminal = terminal
        self.label = label
        self.size = size
        self.isShown = isShown && terminal.isInteractive
    }

    /// Draws, unless it did a moment ago. `start` is where this process began to store, `elapsed` how long ago.
    mutating func draw(_ state: State, since start: State, elapsed: Duration, note: String? = nil) {
        let now = ContinuousClock.now
        if let drawnAt, now - drawnAt < ImportProgressBar.shortestInterval { return }
        guard isShown else { return }
        drawnAt = now
        terminal.say("\r\u{1B}[2K" + line(state, since: start, elapsed: elapsed, note: note))
    }

    func clear() {
        if isShown, drawnAt != nil { terminal.say("\r\u{1B}[2K") }
    }

    private func line(_ state: State, since start: State, elapsed: Duration, note: String?) -> String {
        let figures = ImportProgressBar.figures(state, since: start, elapsed: elapsed, size: size, note: note)
        let width = (terminal.width ?? 80) - 1
        guard let size, size > 0 else { return String("\(label)  \(figures)".prefix(width)) }
        let share = min(1, Double(state.bytes) / Double(size))
        let percent = "\(Int(share * 100))%"
        let room = width - label.count - percent.count - figures.count - 6
        guard room >= 5 else { return String("\(percent)  \(figures)".prefix(width)) }
        let cells = min(room, ImportProgressBar.widestBar)
        let full = Int(share * Double(cells))
        let bar =
            terminal.styled(String(repeating: "━", count: full), .green)
            + terminal.styled(String(repeating: "━", count: cells - full), .dim)
        return "\(label)  \(bar)  \(percent)  \(figures)"
    }

    /// “33,700 lines  24,100 events/s  1.4 s left”.
    static func figures(
        _ state: State,
        since start: State,
        elapsed: Duration,
        size: Int64?,
        note: String? = nil
    ) -> String {
        var parts = ["\(state.lines.grouped) lines"]
        if let note {
            parts.append(note)
        } else if elapsed.seconds > 0 {
            parts.append("\(Int(Double(state.events - start.events) / elapsed.seconds).grouped) events/s")
            let done = state.bytes - start.bytes
            if let size, done > 0 {
                let left = elapsed.seconds * Double(max(0, size - state.bytes)) / Double(done)
                parts.append("\(Duration.seconds(left).brief) left")
            } else {
                parts.append(elapsed.brief)
            }
        }
        return parts.joined(separator: "  ")
    }
}
