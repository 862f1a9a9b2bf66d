import ArgumentParser
import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct Forget: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Destroy a subject's key: its personal data can be read by nobody any more.",
        discussion: """
            What Swift programs declare as personal (PersonalData) is stored encrypted. No event is changed: where the data were, readers find \
            that they are redacted. Snapshots of the subject's streams are discarded. Projections keep what they were told: name those that \
            show something of the subject, and they are built anew.

            This cannot be taken back. A person is asked before anything happens; a script says --yes. Interrupted, it is finished by \
            running it again.

            Examples:
              millrace forget customer/c-7 --reason "request 1024" --dry-run
              millrace forget customer/c-7 --reason "request 1024" --rebuild-projection customers --yes
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "Whose data, as the events have it: customer/c-7.")
    var subject: String

    @Option(help: "Why; it is recorded.")
    var reason: String

    @Option(
        name: .customLong("keys-folder"),
        help: ArgumentHelp("Where the keys are, if not in the database.", valueName: "folder")
    )
    var keysFolder: String?

    @Option(
        name: .customLong("rebuild-projection"),
        help: ArgumentHelp("Build a projection anew; may be given several times.", valueName: "name")
    )
    var projections: [String] = []

    @Flag(name: .customLong("dry-run"), help: "Say what would happen; change nothing.")
    var dryRun = false

    @Flag(help: "Do it without being asked.")
    var yes = false

    func run() async throws {
        let receipt = try await database.withStore { [self] store in
            let personal =
                keysFolder.map { PersonalData(keys: .inFolder($0)) } ?? PersonalData(keys: .inDatabase(store.client))
            let store = EventStore(store.client, personal: personal)
            let plan = try await store.forget(subject, reason: reason, rebuilding: projections, dryRun: true)
            if dryRun { return plan }
            try await Confirmation(isGiven: yes).obtain(for: text(plan))
            return try await store.forget(subject, reason: reason, rebuilding: projections)
        }
        try Terminal.output.write(output.json ? json(receipt) : text(receipt))
    }

    private func text(_ receipt: ForgettingReceipt) -> String {
        let isDone = receipt.forgottenAt != nil
        var lines = [
            "\(receipt.subject.printable) \(isDone ? "is" : "would be") forgotten"
                + (receipt.forgottenAt.map { ", at \($0.formatted(.iso8601))" } ?? "") + "."
        ]
        lines.append("Keys destroyed: \(receipt.keyIDs.map { $0.uuidString.lowercased() }.joined(separator: ", "))")
        let streams = receipt.streams.map { "\($0)".printable }.joined(separator: ", ")
        lines.append(
            "Events redacted: \(receipt.events.grouped), in the streams: \(streams.isEmpty ? "none" : streams)"
        )
        lines.append("Snapshots discarded: \(receipt.snapshotsDiscarded.grouped)")
        for rebuild in receipt.rebuilds {
            lines.append(
                "The projection \(rebuild.projection.printable) is built anew, as generation \(rebuild.generation)."
            )
        }
        if !receipt.mayStillShow.isEmpty {
            lines.append(
                "May still show it: the projections \(receipt.mayStillShow.map(\.printable).joined(separator: ", ")). "
                    + "Those that do are built anew with --rebuild-projection."
            )
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func json(_ receipt: ForgettingReceipt) -> String {
        var object = JSONLine()
        object.add("subject", string: receipt.subject)
        object.add("reason", string: receipt.reason)
        object.add("dry_run", bool: dryRun)
        object.add("forgotten_at", string: receipt.forgottenAt.map { $0.formatted(.iso8601) })
        object.add("key_ids", strings: receipt.keyIDs.map { $0.uuidString.lowercased() })
        object.add("streams", strings: receipt.streams.map { "\($0)" })
        object.add("events", number: Int64(receipt.events))
        object.add("snapshots_discarded", number: Int64(receipt.snapshotsDiscarded))
        object.add("rebuilt", strings: receipt.rebuilds.map(\.projection))
        object.add("may_still_show", strings: receipt.mayStillShow)
        return object.line
    }
}
