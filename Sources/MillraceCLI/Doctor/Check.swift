/// One thing doctor looked at.
struct Check: Sendable, Encodable, Equatable {
    enum Verdict: String, Sendable, Encodable, CaseIterable {
        case ok, warning, failed
    }

    let name: String
    let verdict: Verdict
    /// What was found, in one clause.
    let finding: String
    /// What to do about it, where something is to be done: a command where there is one.
    let remedy: String?

    static func ok(_ name: String, _ finding: String) -> Check {
        Check(name: name, verdict: .ok, finding: finding, remedy: nil)
    }

    static func warning(_ name: String, _ finding: String, _ remedy: String) -> Check {
        Check(name: name, verdict: .warning, finding: finding, remedy: remedy)
    }

    static func failed(_ name: String, _ finding: String, _ remedy: String) -> Check {
        Check(name: name, verdict: .failed, finding: finding, remedy: remedy)
    }
}

/// What doctor has to say about a database.
struct Diagnosis: Sendable, Encodable {
    let checks: [Check]

    func count(_ verdict: Check.Verdict) -> Int { checks.count { $0.verdict == verdict } }

    func text(for terminal: Terminal) -> String {
        let width = checks.reduce(0) { max($0, $1.name.count) }
        let lines = checks.map { check in
            let head = "\(mark(check.verdict, terminal)) \(check.name.padded(to: width))  \(check.finding)\n"
            guard let remedy = check.remedy else { return head }
            return head + "  " + String(repeating: " ", count: width) + "  → " + remedy + "\n"
        }
        return lines.joined() + "\n" + summary + "\n"
    }

    private var summary: String {
        let (warnings, failed) = (count(.warning), count(.failed))
        if warnings == 0 && failed == 0 { return "All \(checks.count) checks are fine." }
        return "\(checks.count) checks: \(count(.ok)) fine, \(warnings) \(warnings == 1 ? "warning" : "warnings"), "
            + "\(failed) failed."
    }

    private func mark(_ verdict: Check.Verdict, _ terminal: Terminal) -> String {
        switch verdict {
        case .ok: terminal.styled("✓", .green)
        case .warning: terminal.styled("!", .yellow, .bold)
        case .failed: terminal.styled("✗", .red, .bold)
        }
    }
}
