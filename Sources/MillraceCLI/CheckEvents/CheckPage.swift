import Millrace

/// What a check found, for people.
struct CheckPage {
    let report: EventCheckReport

    init(_ report: EventCheckReport) { self.report = report }

    func text(for terminal: Terminal) -> String {
        var parts = [types.rendered(for: terminal)]
        if !report.unknownTypes.isEmpty { parts.append(unknown.rendered(for: terminal)) }
        if !report.problems.isEmpty { parts.append(problems.rendered(for: terminal)) }
        if report.isClean { parts.append("All \(report.events.grouped) events can be read.\n") }
        return parts.joined(separator: "\n")
    }

    /// One sentence, where not all is well.
    var verdict: String {
        var parts: [String] = []
        if report.problemCount > 0 {
            let shown =
                report.problems.count < report.problemCount ? ", the first \(report.problems.count.grouped) shown" : ""
            parts.append("\(report.problemCount.grouped) problems in \(report.events.grouped) events\(shown)")
        }
        if !report.unknownTypes.isEmpty {
            parts.append("\(report.unknownTypes.count.grouped) types that the program does not know")
        }
        return parts.joined(separator: "; ")
    }

    private var types: Table {
        var table = Table([("stored type", .left), ("events", .right), ("with problems", .right)])
        for count in report.storedTypes {
            table.add([count.type.printable, count.events.grouped, count.problems.grouped])
        }
        return table
    }

    private var unknown: Table {
        var table = Table([("type that nobody knows", .left), ("events", .right)])
        for count in report.unknownTypes { table.add([count.type.printable, count.events.grouped]) }
        return table
    }

    private var problems: Table {
        var table = Table([("position", .right), ("event", .left), ("stream", .left), ("what", .left), ("why", .left)])
        for problem in report.problems {
            table.add([
                problem.position.map { "\($0)" } ?? "", CheckPage.event(problem),
                problem.stream.map { "\($0)".printable } ?? "", CheckPage.place(problem), problem.message.printable,
            ])
        }
        return table
    }

    private static func event(_ problem: EventProblem) -> String {
        guard let type = problem.type else { return "" }
        let version = problem.schemaVersion.map { $0 == 1 ? "" : " (version \($0))" } ?? ""
        let current = problem.currentType.map { $0 == type ? "" : " as \($0)" } ?? ""
        return (type + version + current).printable
    }

    private static func place(_ problem: EventProblem) -> String {
        [problem.step ?? problem.kind.rawValue, problem.path].compactMap { $0?.printable }.joined(separator: ": ")
    }
}
