import ArgumentParser
import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct LedgerVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Compute the whole ledger anew, and name what is not as it was sealed.",
        discussion: """
            Compares every sealed event with its leaf, the tree with the signed blocks, the chains along their streams, and checkpoints that were \
            published with the tree. Others may append and seal meanwhile.

            Examples:
              millrace ledger verify --key ledger.pub --published /mnt/elsewhere/checkpoints
              millrace ledger verify --since 2026-01-01T00:00:00Z --workers 4
              millrace ledger verify --state verify.json     go on where the last call was interrupted

            Exit codes: \(ExitStatus.done.rawValue) where nothing was found, \(ExitStatus.unproven.rawValue) where something was.
            """
    )

    private static let publishedLimit = 1 << 30
    private static let stateLimit = 1 << 30
    /// Beside those of the workers.
    private static let ownConnections = 2

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Option(
        help: ArgumentHelp(
            "The public key that you trust, or a file with a keyring; may be given several times. Without it the database is asked, and trusted.",
            valueName: "key|file"
        )
    )
    var key: [String] = []

    @Option(help: ArgumentHelp("A file of published checkpoints; may be given several times.", valueName: "file"))
    var published: [String] = []

    @Option(help: ArgumentHelp("Only from the block on that holds this position or time.", valueName: "position|time"))
    var since: String?

    @Option(help: ArgumentHelp("Compare with so many connections at once.", valueName: "count"))
    var workers = 2

    @Option(help: ArgumentHelp("Keep how far it is in this file, and go on from there.", valueName: "file"))
    var state: String?

    private var start: LedgerVerification.Since? {
        guard let since else { return nil }
        if let position = Int64(since), position >= 0 { return .position(Position(position)) }
        return Date(rfc3339: since).map { .time($0) }
    }

    func validate() throws {
        if since != nil, start == nil {
            throw ValidationError("--since is a position, or a time such as 2026-01-31T12:00:00Z.")
        }
        if !(1...LedgerVerification.workerLimit).contains(workers) {
            throw ValidationError("--workers is from 1 to \(LedgerVerification.workerLimit).")
        }
    }

    func run() async throws {
        let keyring = try key.isEmpty ? nil : LedgerTrust.keyring(key)
        var notes: [SignedNote] = []
        for file in published {
            notes += try LedgerCheckpointFile.notes(in: LedgerInput.bytes(file, limit: LedgerVerify.publishedLimit))
        }
        if keyring == nil { Terminal.error.say("millrace: no --key was given: the keys in the database are trusted\n") }
        let (checkpoints, kept) = (notes, try readState())
        let report = try await database.withStore(connections: workers + LedgerVerify.ownConnections) { [self] store in
            var progress = LedgerVerifyProgress(isShown: !output.json)
            defer { progress.clear() }
            do {
                return try await verified(store, keyring, checkpoints, kept) { progress.draw($0) }
            } catch let error as LedgerVerificationError { throw Failure(.failed, "\(error)") }
        }
        try Terminal.output.write(output.json ? report.ndjson : LedgerVerifyPage(report).text)
        guard report.isClean else { throw Failure(.unproven, LedgerVerifyPage(report).verdict) }
    }

    private func verified(
        _ store: EventStore,
        _ keyring: LedgerKeyring?,
        _ notes: [SignedNote],
        _ kept: LedgerVerificationState?,
        _ look: (LedgerVerification.Progress) -> Void
    ) async throws -> LedgerVerificationReport {
        try await LedgerVerification(store, trusting: keyring, published: notes, since: start, workers: workers)
            .run(from: kept, look: look) { try writeState($0) }
    }

    private func readState() throws -> LedgerVerificationState? {
        guard let state, FileManager.default.fileExists(atPath: state) else { return nil }
        let bytes = try LedgerInput.bytes(state, limit: LedgerVerify.stateLimit)
        guard let kept = try? JSONDecoder().decode(LedgerVerificationState.self, from: Data(bytes)) else {
            throw Failure(.badInput, "\(state.printable) is no state of a verification")
        }
        return kept
    }

    private func writeState(_ value: LedgerVerificationState) throws {
        guard let state else { return }
        do { try JSONEncoder().encode(value).write(to: URL(fileURLWithPath: state), options: .atomic) } catch {
            throw Failure(.failed, "\(state.printable) cannot be written: \(error)")
        }
    }
}

/// One line that is drawn over and over, on a terminal only.
private struct LedgerVerifyProgress {
    private let isShown: Bool
    private let began = ContinuousClock.now
    private var drawnAt: ContinuousClock.Instant?

    init(isShown: Bool) { self.isShown = isShown && Terminal.error.isInteractive }

    mutating func draw(_ progress: LedgerVerification.Progress) {
        let now = ContinuousClock.now
        guard isShown, drawnAt.map({ now - $0 >= ImportProgressBar.shortestInterval }) ?? true else { return }
        drawnAt = now
        var parts = ["\(progress.phase.rawValue)  \(progress.events.grouped) events"]
        if let total = progress.total, total > 0 {
            parts[0] += " of \(total.grouped)"
            let seconds = (now - began).seconds
            if seconds > 0 { parts.append("\(Int(Double(progress.events) / seconds).grouped) events/s") }
        }
        if progress.findings > 0 { parts.append("\(progress.findings.grouped) findings") }
        Terminal.error.say("\r\u{1B}[2K" + parts.joined(separator: "  "))
    }

    func clear() {
        if drawnAt != nil { Terminal.error.say("\r\u{1B}[2K") }
    }
}

/// The report as a person reads it.
private struct LedgerVerifyPage {
    private let report: LedgerVerificationReport
    private static let shown = 100

    init(_ report: LedgerVerificationReport) { self.report = report }

    var verdict: String { "\(report.findings.count.grouped) \(report.findings.count == 1 ? "finding" : "findings")" }

    var text: String {
        var lines: [String] = []
        for finding in report.findings.kept.prefix(LedgerVerifyPage.shown) {
            lines.append("\(Terminal.output.styled(finding.code.rawValue, .red))  \(finding.detail.printable)")
        }
        let left = report.findings.count - min(report.findings.count, LedgerVerifyPage.shown)
        if left > 0 { lines.append("… and \(left.grouped) more; --json shows up to \(report.findings.limit.grouped).") }
        if !lines.isEmpty { lines.append("") }
        let word =
            report.isClean
            ? Terminal.output.styled("Holds", .bold, .green) : Terminal.output.styled("Does not hold", .bold, .red)
        lines.append(
            "\(word): \(report.origin.printable), \(report.events.grouped) sealed events in \(report.blocks.grouped) blocks "
                + "(\(report.firstBlock.grouped) to \(report.lastBlock.grouped)), \(report.chainedEvents.grouped) chained, "
                + "\(report.published.grouped) published \(report.published == 1 ? "checkpoint" : "checkpoints")."
        )
        if report.trustsDatabase {
            lines.append("This trusts the key that the database names. Give the one that you have kept with --key.")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

extension LedgerVerificationReport {
    /// A finding a line, and the summary.
    fileprivate var ndjson: String {
        var lines = findings.kept.map(\.line)
        var line = JSONLine()
        line.add("origin", string: origin)
        line.add("holds", bool: isClean)
        line.add("events", number: Int64(events))
        line.add("chained_events", number: Int64(chainedEvents))
        line.add("blocks", number: Int64(blocks))
        line.add("first_block", number: Int64(firstBlock))
        line.add("last_block", number: Int64(lastBlock))
        line.add("published", number: Int64(published))
        line.add("trusts_database", bool: trustsDatabase)
        line.add("findings", number: Int64(findings.count))
        for code in LedgerFinding.Code.allCases { line.add(code.rawValue, number: Int64(findings.count(of: code))) }
        lines.append(line.line)
        return lines.joined()
    }
}

extension LedgerFinding {
    fileprivate var line: String {
        var line = JSONLine()
        line.add("finding", string: code.rawValue)
        line.add("position", number: position?.rawValue)
        line.add("sealed_position", number: sealedPosition?.rawValue)
        line.add("aggregate_type", string: aggregateType)
        line.add("aggregate_id", string: aggregateID)
        line.add("version", number: version.map(Int64.init))
        line.add("block", number: block.map(Int64.init))
        line.add("parts", strings: parts)
        line.add("detail", string: detail)
        return line.line
    }
}
