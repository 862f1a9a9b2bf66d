import Synchronization

/// How far the run is, on standard error: one line that is redrawn for people at a terminal, a line a contest for a log.
final class BenchDisplay: Sendable {
    private struct State {
        var scenario = ""
        var title = ""
        var isDrawn = false
    }

    private let terminal: Terminal
    private let began = ContinuousClock.now
    private let state = Mutex(State())

    init(terminal: Terminal = .error) {
        self.terminal = terminal
    }

    func begin(_ scenario: BenchScenario, number: Int, of count: Int) {
        state.withLock { state in
            state.scenario = "\(number)/\(count) \(scenario.rawValue)"
            state.title = ""
        }
        say("setting up")
    }

    func show(_ contest: Contest, _ contestant: Contest.Contestant, round: Int, of rounds: Int) {
        guard terminal.isInteractive else {
            let isNew = state.withLock { state in
                defer { state.title = contest.title }
                return state.title != contest.title
            }
            if isNew { say(contest.title) }
            return
        }
        let which = round == 0 ? "warming up" : "round \(round) of \(rounds)"
        say("\(contest.title): \(which), \(contestant.name)")
    }

    func say(_ text: String) {
        let elapsed = (ContinuousClock.now - began).brief
        state.withLock { state in
            let line = "\(state.scenario): \(text)  \(terminal.styled(elapsed, .dim))"
            if terminal.isInteractive {
                let width = (terminal.width ?? 80) - 1
                terminal.say(
                    "\r\u{1B}[2K" + (line.count > width ? "\(state.scenario): \(text)".prefix(width) : line[...])
                )
                state.isDrawn = true
            } else {
                terminal.say(line + "\n")
            }
        }
    }

    /// Takes the redrawn line away, so that results begin on a line of their own.
    func clear() {
        state.withLock { state in
            if state.isDrawn { terminal.say("\r\u{1B}[2K") }
            state.isDrawn = false
        }
    }
}
