import ArgumentParser
import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Where a small text goes to.
struct LedgerOutOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Write it to this file instead of standard output.", valueName: "file"))
    var out: String?

    func write(_ text: String) throws {
        guard let out else { return try Terminal.output.write(text) }
        do { try Data(text.utf8).write(to: URL(fileURLWithPath: out), options: .atomic) } catch {
            throw Failure(.failed, "\(out.printable) cannot be written: \(error)")
        }
    }
}

struct LedgerCheckpointCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "checkpoint",
        abstract: "The signed checkpoint of a block: keep it elsewhere."
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var out: LedgerOutOptions

    @Argument(help: "The number of the block; otherwise the last one.")
    var block: Int?

    func run() async throws {
        try await database.withStore { [self] store in
            let note = try await store.ledger.checkpoint(block)
            try out.write(document("\(note)", "checkpoint", output))
        }
    }
}

/// The text itself, or in a JSON document.
private func document(_ text: String, _ name: String, _ output: OutputOptions) -> String {
    guard output.json else { return text }
    var line = JSONLine()
    line.add(name, string: text)
    return line.line
}

struct LedgerProve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prove",
        abstract: "The proof that an event is in the ledger, as a file that needs nothing else but the public key.",
        discussion: "The file has all of the event in it. Check it with `millrace ledger verify-proof`, anywhere."
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var out: LedgerOutOptions

    @Argument(help: "An event's id or position.")
    var event: String

    private var name: LedgerEventName? {
        if let id = UUID(uuidString: event) { return .id(id) }
        return Int64(event).flatMap { $0 > 0 ? .position(Position($0)) : nil }
    }

    func validate() throws {
        if name == nil { throw ValidationError("EVENT is an event's id or position.") }
    }

    func run() async throws {
        guard let name else { return }
        try await database.withStore { [self] store in
            let proof = try await store.ledger.prove(name)
            try out.write(document("\(proof)", "proof", output))
        }
    }
}

struct LedgerProveConsistency: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prove-consistency",
        abstract: "The proof that the ledger only grew since a checkpoint that somebody has kept."
    )

    private static let byteLimit = 1 << 30

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var out: LedgerOutOptions

    @Argument(help: "A file with the earlier checkpoint; of several, the last one.")
    var checkpoint: String

    @Option(
        name: .customLong("to"),
        help: ArgumentHelp("Up to this block; otherwise the last one.", valueName: "block")
    )
    var block: Int?

    func run() async throws {
        let bytes = try LedgerInput.bytes(checkpoint, limit: LedgerProveConsistency.byteLimit)
        guard let earlier = try LedgerCheckpointFile.notes(in: bytes).last else {
            throw Failure(.badInput, "\(checkpoint.printable) has no checkpoint")
        }
        try await database.withStore { [self] store in
            let proof = try await store.ledger.proveConsistency(from: earlier, toBlock: block)
            try out.write(document("\(proof)", "proof", output))
        }
    }
}

struct LedgerVerifyProof: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify-proof",
        abstract: "Check a proof, without a database: of an event, or of consistency.",
        discussion:
            "Ends with status \(ExitStatus.unproven.rawValue) where it proves nothing, and says which step failed."
    )

    @OptionGroup var output: OutputOptions

    @Argument(help: "The proof's file.")
    var file: String

    @Option(
        help: ArgumentHelp(
            "The public key that you trust, or a file with a keyring; may be given several times.",
            valueName: "key|file"
        )
    )
    var key: [String]

    func validate() throws {
        if key.isEmpty { throw ValidationError("Which key do you trust? Name it with --key.") }
    }

    func run() async throws {
        let keyring = try LedgerTrust.keyring(key)
        let bytes = try LedgerInput.bytes(file, limit: LedgerEventProof.byteLimit)
        if bytes.starts(with: "millrace/consistency-proof@".utf8) {
            try report(try LedgerConsistencyProof(utf8: bytes).verify(with: keyring))
        } else {
            try report(try LedgerEventProof(utf8: bytes).verify(with: keyring))
        }
    }

    private func report(_ proven: LedgerEventProof.Proven) throws {
        let event = proven.event
        if output.json {
            var line = JSONLine()
            line.add("proven", string: "inclusion")
            line.add("origin", string: proven.checkpoint.origin)
            line.add("tree_size", number: Int64(proven.checkpoint.size))
            line.add("block", number: Int64(proven.checkpoint.block))
            line.add("index", number: Int64(proven.index))
            line.add("signed_by", strings: proven.signers.map { "\($0)" })
            line.add("position", number: event.position.rawValue)
            line.add("event_id", string: event.id.uuidString.lowercased())
            line.add("event_type", string: event.type)
            line.add("aggregate_type", string: event.stream.aggregateType)
            line.add("aggregate_id", string: event.stream.aggregateID)
            line.add("version", number: Int64(event.version))
            line.add("event_data", json: event.data)
            line.add("metadata", json: event.metadata ?? .null)
            line.add("occurred_at", string: event.occurredAt.rfc3339)
            line.add("created_at", string: event.createdAt.rfc3339)
            return try Terminal.output.write(line.line)
        }
        try Terminal.output.write(
            """
            \(Terminal.output.styled("Proven", .bold, .green)): this event is in the ledger \(proven.checkpoint.origin.printable).

              position  \(event.position.rawValue.grouped)
              id        \(event.id.uuidString.lowercased())
              type      \(event.type.printable)
              stream    \(event.stream.aggregateType.printable) \(event.stream.aggregateID.printable), version \(event.version.grouped)
              occurred  \(event.occurredAt.rfc3339)
              stored    \(event.createdAt.rfc3339)
              data      \(event.data.text.printable)

            It is leaf \(proven.index.grouped) of \(proven.checkpoint.size.grouped), in the checkpoint of block \(proven.checkpoint.block.grouped), signed by
            \(proven.signers.map { "\($0)".printable }.joined(separator: "\n"))

            """
        )
    }

    private func report(_ proven: LedgerConsistencyProof.Proven) throws {
        let (earlier, later) = (proven.earlier, proven.later)
        if output.json {
            var line = JSONLine()
            line.add("proven", string: "consistency")
            line.add("origin", string: later.origin)
            line.add("earlier_tree_size", number: Int64(earlier.size))
            line.add("tree_size", number: Int64(later.size))
            line.add("earlier_block", number: Int64(earlier.block))
            line.add("block", number: Int64(later.block))
            return try Terminal.output.write(line.line)
        }
        try Terminal.output.write(
            """
            \(Terminal.output.styled("Proven", .bold, .green)): the ledger \(later.origin.printable) only grew, from \(earlier.size.grouped) events (block \(earlier.block.grouped)) \
            to \(later.size.grouped) (block \(later.block.grouped)).

            """
        )
    }
}
