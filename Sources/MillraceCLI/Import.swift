import ArgumentParser
import Millrace

struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Store events from newline-delimited JSON, each once, however often the import is run.",
        discussion: """
            One event a line, an object with event_type, aggregate_type, aggregate_id and event_data, and optionally \
            occurred_at (RFC 3339 or null), metadata, event_id (a UUID), payload (base64) and content_type: what \
            `millrace read --json` writes. Any other field is refused, because a misspelt one would be lost. Events keep \
            the order of the file within each stream; numbers are kept exactly.

            An import has a name, under which the database remembers how far it has come. An interrupted one goes on \
            where it was when the same command is run again, after comparing what it reads with what was imported \
            (a hash of all lines up to there); a finished one stores nothing new, or only the lines that were added. \
            The name is the file's own unless --name gives another; standard input has one that follows from its first line.

            A line that is no event stops the import: all lines before it are stored (exit code \
            \(ExitStatus.badInput.rawValue)). With --skip-bad such lines go to a file of their own and the import goes on.

            Examples:
              millrace import orders.ndjson
              gunzip -c orders.ndjson.gz | millrace import -
              millrace import orders.ndjson --skip-bad bad.ndjson
              jq -r .text bad.ndjson > mended.ndjson          # to mend them and import them under another name
            """
    )

    static let batches = 1...10_000

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "A file; - or nothing is standard input.", completion: .file())
    var file: String?

    @Option(help: "The import's name; otherwise the file's.")
    var name: String?

    @Option(help: ArgumentHelp("Lines stored in one transaction.", valueName: "lines"))
    var batch = 10_000

    @Option(
        name: .customLong("skip-bad"),
        help: ArgumentHelp("Set lines that are no events aside in this file, and go on.", valueName: "file"),
        completion: .file()
    )
    var skipBad: String?

    func validate() throws {
        if !Import.batches.contains(batch) {
            throw ValidationError(
                "--batch is from \(Import.batches.lowerBound) to \(Import.batches.upperBound.grouped)."
            )
        }
        if let name, !(1...255).contains(name.count) { throw ValidationError("--name has 1 to 255 characters.") }
    }

    func run() async throws {
        let input = try ImportInput(file)
        defer { input.close() }
        if file == nil, input.isTerminal {
            throw ValidationError("Name a file, or pipe newline-delimited JSON into `millrace import -`.")
        }
        let report = try await database.withStore { [self] store in
            try await ImportRun(
                store: store,
                input: input,
                name: name,
                batch: batch,
                skipFile: skipBad,
                isQuiet: output.json
            ).run()
        }
        try Terminal.output.write(output.json ? json(report) : summary(report, of: input))
    }

    private func summary(_ report: ImportReport, of input: ImportInput) -> String {
        var text: String
        let newLines = report.lines - report.resumedAfter
        if report.lines == 0 {
            text = "\(input.label) is empty: nothing was stored.\n"
        } else if newLines == 0 {
            text =
                "Nothing new: import “\(report.name)” has dealt with all \(report.lines.grouped) lines of \(input.label) "
                + "already, and stored \(report.storedBefore.grouped) events.\n"
        } else {
            let rate = Double(report.stored) / max(report.duration.seconds, 0.001)
            text =
                "Stored \(report.stored.grouped) \(report.stored == 1 ? "event" : "events") from \(newLines.grouped) "
                + "\(newLines == 1 ? "line" : "lines") of \(input.label) in \(report.duration.brief) "
                + "(\(Int(rate).grouped) events/s), import “\(report.name)”.\n"
        }
        if report.resumedAfter > 0, newLines > 0 {
            text +=
                "It went on after line \(report.resumedAfter.grouped); with earlier runs, "
                + "\((report.storedBefore + report.stored).grouped) events are stored.\n"
        }
        if report.repeated > 0 {
            text += "\(report.repeated.grouped) events were stored already, by their ids.\n"
        }
        if report.setAside > 0, let skipBad {
            let what = report.setAside == 1 ? "1 bad line is" : "\(report.setAside.grouped) bad lines are"
            text += Terminal.output.styled("\(what) set aside in \(skipBad).\n", .yellow)
        }
        return text
    }

    private func json(_ report: ImportReport) -> String {
        var object = JSONLine()
        object.add("import", string: report.name)
        object.add("lines", number: report.lines)
        object.add("resumed_after", number: report.resumedAfter)
        object.add("events_stored", number: report.stored)
        object.add("events_stored_before", number: report.storedBefore)
        object.add("events_repeated", number: report.repeated)
        object.add("lines_set_aside", number: report.setAside)
        object.add("seconds", json: JSON(report.duration.seconds.fixed(3)))
        return object.line
    }
}
