import Millrace
import MillracePostgres

/// One run of an import: finds out where it stands, proves that the input is the same, and stores what is new.
struct ImportRun {
    /// Rounds of asking which lines of one chunk are refused; more than one only where other writers interfere.
    static let refusalRounds = 5
    /// Attempts to store one chunk while the database cannot be reached, and the pauses between them.
    static let attempts = 10
    static let backoff = PostgresBackoff()

    let store: EventStore
    let input: ImportInput
    let name: String?
    let batch: Int
    let skipFile: String?
    let isQuiet: Bool

    func run() async throws -> ImportReport {
        var reader = ImportReader(input)
        let name = if let given = self.name { given } else { try await defaultName(&reader) }
        let known = try await store.importProgress(of: name)
        var bar = ImportProgressBar(label: name, size: input.size, isShown: !isQuiet)
        defer { bar.clear() }
        if let known { try await prove(known, of: name, &reader, &bar) }

        var report = ImportReport(name: name, resumedAfter: known?.lines ?? 0, storedBefore: known?.eventsStored ?? 0)
        let skipped = try skipFile.map { try SkippedLines($0, importName: name, after: report.resumedAfter) }
        defer { skipped?.close() }
        do {
            try await store(reader, into: &report, known, skipped, &bar)
        } catch {
            bar.clear()
            if Task.isCancelled, !isQuiet {
                Terminal.error.say(
                    "Interrupted; \(report.lines.grouped) lines or more are stored, the same command goes on from there.\n"
                )
            }
            throw error
        }
        return report
    }

    private func store(
        _ beginning: ImportReader,
        into report: inout ImportReport,
        _ known: ImportProgress?,
        _ skipped: SkippedLines?,
        _ bar: inout ImportProgressBar
    ) async throws {
        let start = ImportProgressBar.State(lines: beginning.linesRead, events: 0, bytes: beginning.bytesRead)
        let began = ContinuousClock.now
        var next = try await ImportRun.nextChunk(of: batch, from: beginning)
        while true {
            let (chunk, reader) = next
            // Nothing was added since the end was reached.
            if chunk.lines.isEmpty, known?.finishedAt != nil, report.lines == report.resumedAfter { return }
            // While the database stores a chunk the next one is read and encoded; no more than that one.
            async let following = ImportRun.nextChunk(of: chunk.isLast ? 0 : batch, from: reader)
            try await ImportedLines(run: self, name: report.name, skipped: skipped).store(chunk, &report)
            report.duration = ContinuousClock.now - began
            bar.draw(
                ImportProgressBar.State(lines: report.lines, events: report.stored, bytes: chunk.bytesRead),
                since: start,
                elapsed: report.duration
            )
            if chunk.isLast { return }
            next = try await following
        }
    }

    private static func nextChunk(
        of limit: Int,
        from reader: ImportReader
    ) async throws -> (ImportReader.Chunk, ImportReader) {
        var reader = reader
        let chunk = try await reader.nextChunk(of: limit)
        return (chunk, reader)
    }

    /// The file's name; for standard input one that the same input has every time.
    private func defaultName(_ reader: inout ImportReader) async throws -> String {
        if let fileName = input.fileName { return String(fileName.prefix(255)) }
        let digits = RunningHash.digest(of: try await reader.firstLine()).prefix(6).map { byte in
            String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }
        return "stdin-" + digits.joined()
    }

    /// Passes over the lines that are dealt with already; throws where the input does not begin with them.
    private func prove(
        _ known: ImportProgress,
        of name: String,
        _ reader: inout ImportReader,
        _ bar: inout ImportProgressBar
    ) async throws {
        let isLongEnough = try await reader.skip(through: known.lines) { reader in
            let state = ImportProgressBar.State(lines: reader.linesRead, events: 0, bytes: reader.bytesRead)
            bar.draw(state, since: state, elapsed: .zero, note: "imported already, comparing")
        }
        guard isLongEnough, reader.prefixHash == known.prefixHash else {
            let difference =
                isLongEnough
                ? "its first \(known.lines.grouped) lines are not those of \(input.label)"
                : "it has dealt with \(known.lines.grouped) lines, and \(input.label) has only \(reader.linesRead.grouped)"
            throw Failure(
                .badInput,
                "import “\(name)” was of another input: \(difference); nothing was stored: give this input a name of its "
                    + "own with --name"
            )
        }
    }
}

/// What an import did, for the summary.
struct ImportReport: Equatable {
    let name: String
    /// Lines dealt with by earlier runs.
    let resumedAfter: Int64
    let storedBefore: Int64
    /// Lines dealt with, this run's included.
    var lines: Int64
    /// Events, by this run.
    var stored: Int64 = 0
    var repeated: Int64 = 0
    var setAside: Int64 = 0
    var duration = Duration.zero

    init(name: String, resumedAfter: Int64, storedBefore: Int64) {
        self.name = name
        self.resumedAfter = resumedAfter
        self.storedBefore = storedBefore
        lines = resumedAfter
    }
}

/// Stores one chunk, whatever is wrong with its lines or with the connection.
struct ImportedLines {
    let run: ImportRun
    let name: String
    let skipped: SkippedLines?

    private typealias BadLine = SkippedLines.BadLine

    func store(_ chunk: ImportReader.Chunk, _ report: inout ImportReport) async throws {
        var lines = chunk.lines.filter { !$0.isBlank && $0.cut == 0 }
        var bad = chunk.lines.filter { $0.cut > 0 }.map { line in
            BadLine(
                line: line,
                reason: "the line is longer than \(LineSplitter.longestLine.grouped) bytes, the most that is read"
            )
        }
        var rows = bad.isEmpty ? chunk.rows : nil
        for _ in 0..<ImportRun.refusalRounds {
            if !bad.isEmpty {
                try await stopOrSetAside(bad, of: chunk, lines, &report)
            }
            do {
                let through = chunk.through
                try await store(
                    lines,
                    as: rows,
                    of: chunk,
                    through: through,
                    hash: chunk.hash.digest(),
                    isLast: chunk.isLast,
                    &report
                )
                report.lines = through
                return
            } catch let error as EventStoreError where ImportedLines.mayBeAboutLines(error) {
                bad = try await refusals(of: lines)
                if bad.isEmpty { throw error }
                rows = nil
                let refused = Set(bad.map(\.line.number))
                lines.removeAll { refused.contains($0.number) }
            }
        }
        throw Failure(
            .failed,
            "lines after \(chunk.resumesAfter.grouped) are refused, each time others: do other programs publish events with "
                + "the ids of this input? Run the import again once they are done"
        )
    }

    private func refusals(of lines: [LineSplitter.Line]) async throws -> [BadLine] {
        try await run.store.refusals(of: lines.map(\.document)).map { refused in
            BadLine(line: lines[refused.index], reason: refused.reason)
        }
    }

    /// Either sets the bad lines aside, or stores what is before the first of them and ends the import there.
    private func stopOrSetAside(
        _ bad: [BadLine],
        of chunk: ImportReader.Chunk,
        _ lines: [LineSplitter.Line],
        _ report: inout ImportReport
    ) async throws {
        if let skipped {
            try skipped.add(bad)
            report.setAside += Int64(bad.count)
            return
        }
        guard var first = bad.min(by: { $0.line.number < $1.line.number }) else { return }
        var before = lines.filter { $0.number < first.line.number }
        // A line may have been found too long before PostgreSQL was asked about the ones in front of it.
        if let earlier = try await refusals(of: before).first {
            first = earlier
            before.removeAll { $0.number >= earlier.line.number }
        }
        let last = first.line.number - 1
        if last > chunk.resumesAfter {
            try await store(
                before,
                as: nil,
                of: chunk,
                through: last,
                hash: chunk.hash(through: last),
                isLast: false,
                &report
            )
            report.lines = last
        }
        throw Failure(
            .badInput,
            "line \(first.line.number.grouped) of \(run.input.label) is refused: \(first.reason); the lines before it are "
                + "stored: mend it and run the import again, or set bad lines aside with --skip-bad FILE"
        )
    }

    /// Once, however often the connection is lost: the database knows whether the chunk is stored.
    private func store(
        _ lines: [LineSplitter.Line],
        as rows: ImportRows?,
        of chunk: ImportReader.Chunk,
        through: Int64,
        hash: [UInt8],
        isLast: Bool,
        _ report: inout ImportReport
    ) async throws {
        let step = ImportStep(
            name: name,
            resumesAfter: chunk.resumesAfter,
            through: through,
            prefixHash: hash,
            isLast: isLast
        )
        var attempt = 1
        while true {
            do {
                let imported = try await run.store.importChunk(step, rows) { lines.map(\.document) }
                report.stored += Int64(imported.stored)
                report.repeated += Int64(imported.repeated)
                return
            } catch let error as EventStoreError
                where attempt < ImportRun.attempts && ImportedLines.isPassing(error)
            {
                try await ContinuousClock().sleep(for: ImportRun.backoff.delay(afterFailure: attempt))
                attempt += 1
                guard let known = try? await run.store.importProgress(of: name) else { continue }
                if known.lines == through, known.prefixHash == hash {
                    let stored = known.eventsStored - report.storedBefore - report.stored
                    report.stored += stored
                    report.repeated += Int64(lines.count) - stored
                    return
                }
                guard known.lines == chunk.resumesAfter else {
                    throw Failure(
                        .failed,
                        "another run of the import “\(name)” is at line \(known.lines.grouped): run the same command again when it "
                            + "has ended"
                    )
                }
            }
        }
    }

    /// Worth asking which line it was.
    private static func mayBeAboutLines(_ error: EventStoreError) -> Bool {
        switch error {
        case .invalidEvent, .partlyRepeated: true
        case .postgres(.server(let server)): ["22", "23", "54"].contains(server.sqlState.errorClass)
        case .postgres, .versionConflict, .outcomeUnknown, .cannotReadLog, .unknownEpoch, .handlerRefused,
            .projectionRefused, .ledgerRefused, .notMigrated:
            false
        }
    }

    /// May be otherwise in a moment: the connection or the server went away, or another transaction was in the way.
    private static func isPassing(_ error: EventStoreError) -> Bool {
        switch error {
        // Somebody else was there first: an earlier attempt behind a connection that was lost, the server process of a run
        // that was killed, or a second run. The database knows which lines are dealt with.
        case .postgres(.server(let server)) where server.sqlState == "MR012": true
        case .postgres(.server(let server)): ["08", "40", "57"].contains(server.sqlState.errorClass)
        case .postgres(.connectionLost), .postgres(.outcomeUnknown), .postgres(.timedOut), .postgres(.acquireTimedOut):
            true
        case .postgres(.cannotConnect(let failure)):
            failure.sqlState.map { ["08", "53", "57"].contains($0.errorClass) } ?? true
        case .postgres, .invalidEvent, .partlyRepeated, .versionConflict, .outcomeUnknown, .cannotReadLog,
            .unknownEpoch, .handlerRefused, .projectionRefused, .ledgerRefused, .notMigrated:
            false
        }
    }
}

extension LineSplitter.Line {
    /// The line as JSON: editors put a byte order mark in front of a file, which JSON knows nothing of.
    var document: [UInt8] {
        number == 1 && bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3)) : bytes
    }
}
