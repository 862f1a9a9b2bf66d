import ArgumentParser
import Millrace

struct ProjectionsVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Compute a projection anew from the log, and show where what serves is otherwise.",
        discussion: """
            A generation of its own is built beside the one that serves, compared with it where both have the same events, and dropped. \
            Readers do not notice; who writes it waits for a second at the most. Exit codes: \(ExitStatus.done.rawValue) where both are \
            equal, \(ExitStatus.unhealthy.rawValue) where they differ. With --json a document a difference, then one of the whole.

            Example: millrace projections verify orders --sample 10
            """
    )

    static let limits = 1...100_000

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var patience: ProjectionPatienceOption

    @Argument(help: "The projection's name.")
    var name: String

    @Option(
        help: ArgumentHelp(
            "Compute so many of each thousand streams; rows that only the served one has are not looked for then.",
            valueName: "streams"
        )
    )
    var sample = 1_000

    @Option(help: ArgumentHelp("Rows that are shown at the most.", valueName: "rows"))
    var limit = 100

    func validate() throws {
        if !(1...1_000).contains(sample) { throw ValidationError("--sample is from 1 to 1,000, of a thousand.") }
        if !ProjectionsVerify.limits.contains(limit) { throw ValidationError("--limit is from 1 to 100,000.") }
    }

    func run() async throws {
        let verification = try await database.withStore { [self] store in
            let progress = ProjectionProgress()
            defer { progress.clear() }
            return try await store.projections.verify(
                name,
                sample: sample,
                limit: limit,
                patience: patience.duration
            ) { progress.show($0) }
        }
        let page = VerificationPage(verification: verification)
        try Terminal.output.write(output.json ? page.json : page.text)
        if verification.rows == 0 && verification.sample < 1_000 {
            throw Failure(
                .unhealthy,
                "the sample has no row to compare: raise --sample, or leave it out for all streams"
            )
        }
        if !verification.differences.isEmpty {
            throw Failure(
                .unhealthy,
                "\(verification.projection) is not what the log says: `millrace projections rebuild \(verification.projection)` mends it, "
                    + "where its code gives the same rows each time"
            )
        }
    }
}

/// What a comparison found, as people and programs read it.
struct VerificationPage {
    let verification: ProjectionVerification

    var text: String {
        let rows = verification.differences.map(lines).joined()
        let number = verification.differences.count
        let what =
            verification.sample == 1_000 ? "all streams" : "\(verification.sample) of each thousand streams"
        let head =
            "generation \(verification.generation) of \(verification.projection) (version \(verification.version)) with \(what) "
            + "computed anew, \(verification.rows.grouped) \(verification.rows == 1 ? "row" : "rows")"
        if number == 0 { return "Compared \(head): no difference.\n" }
        let count = verification.isComplete ? number.grouped : "more than \(number.grouped)"
        return rows + "\nCompared \(head): \(count) \(number == 1 ? "row differs" : "rows differ").\n"
    }

    /// “orders {"id": "42"}: cents: 100 → 120”, a line a column.
    private func lines(_ difference: ProjectionDifference) -> String {
        let row = "\(difference.table.printable)" + (difference.key.map { " \($0.text.printable)" } ?? "")
        if difference.served == nil {
            return "\(row): missing → \(difference.recomputed?.text.printable ?? "null")\n"
        } else if difference.recomputed == nil {
            return "\(row): \(difference.served?.text.printable ?? "null") → nothing\n"
        }
        return difference.columns.map { column in
            "\(row): \(column.name.printable): \(column.served?.text.printable ?? "no column") → "
                + "\(column.recomputed?.text.printable ?? "no column")\n"
        }.joined()
    }

    var json: String {
        verification.differences.map { difference in
            var object = JSONLine()
            object.add("table", string: difference.table)
            object.add("key", json: difference.key ?? .null)
            object.add("served", json: difference.served ?? .null)
            object.add("recomputed", json: difference.recomputed ?? .null)
            object.add("columns", strings: difference.columns.map(\.name))
            return object.line
        }.joined() + summary
    }

    private var summary: String {
        var object = JSONLine()
        object.add("projection", string: verification.projection)
        object.add("generation", number: Int64(verification.generation))
        object.add("version", number: Int64(verification.version))
        object.add("sample", number: Int64(verification.sample))
        object.add("differences", number: Int64(verification.differences.count))
        object.add("is_complete", bool: verification.isComplete)
        return object.line
    }
}
