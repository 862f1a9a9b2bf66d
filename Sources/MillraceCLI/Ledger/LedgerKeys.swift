import ArgumentParser
import Millrace

struct LedgerKeys: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "The keys that sign, and those that have signed.",
        subcommands: [LedgerKeysList.self, LedgerKeysGenerate.self, LedgerKeysRotate.self],
        defaultSubcommand: LedgerKeysList.self
    )
}

struct LedgerKeysList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "The public keys, the one that signs last; what `millrace ledger keys` does.",
        discussion: """
            --keyring writes the file that `verify-proof --key` takes: the first key, and with which note each followed the one before.
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Flag(help: "Write a keyring for those who check.")
    var keyring = false

    func run() async throws {
        try await database.withStore { [self] store in
            if keyring { return try Terminal.output.write(try await store.ledger.keyringText()) }
            let keys = try await store.ledger.keys()
            if output.json {
                for key in keys {
                    var line = JSONLine()
                    line.add("number", number: Int64(key.number))
                    line.add("verifier_key", string: "\(key.verifierKey)")
                    line.add("created_at", string: key.createdAt.rfc3339)
                    line.add("endorsement", string: key.endorsement.map { "\($0)" })
                    line.add("signs", bool: key.number == keys.count)
                    try Terminal.output.write(line.line)
                }
                return
            }
            if keys.isEmpty {
                return try Terminal.output.write("No ledger is kept. Begin one with `millrace ledger init`.\n")
            }
            var table = Table([("key", .right), ("since", .left), ("signs", .left), ("public key", .left)])
            for key in keys {
                let signs = key.number == keys.count ? "yes" : "no"
                table.add(["\(key.number)", key.createdAt.rfc3339, signs, "\(key.verifierKey)".printable])
            }
            try Terminal.output.write(table.rendered(for: .output))
        }
    }
}

struct LedgerKeysGenerate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate",
        abstract: "Make a key, without a database: for `init`, or for `keys rotate`."
    )

    @OptionGroup var output: OutputOptions

    @Argument(help: "The ledger's name.")
    var origin: String

    @Option(name: .customLong("key-file"), help: ArgumentHelp("Where to; it must not be there.", valueName: "file"))
    var keyFile: String

    func run() async throws {
        let key = try LedgerSigningKey.generate(name: origin)
        try LedgerKeyFile(path: keyFile).write(key)
        if output.json {
            var line = JSONLine()
            line.add("verifier_key", string: "\(key.verifierKey)")
            line.add("key_file", string: keyFile)
            return try Terminal.output.write(line.line)
        }
        try Terminal.output.write("\(key.verifierKey)\n")
    }
}

struct LedgerKeysRotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate",
        abstract: "Have the key that signs endorse another one, which signs from now on.",
        discussion: """
            What was signed stays good: who trusts the old key trusts the new one, by the endorsement in `millrace ledger keys --keyring`. \
            Give the daemons the new file: with the old one nothing is sealed any more.
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var keys: LedgerKeyOptions

    @Option(
        name: .customLong("new-key-file"),
        help: ArgumentHelp("The new key; made where it is not there.", valueName: "file")
    )
    var newKeyFile: String

    @Option(help: "Why; it is kept among the acts.")
    var reason: String?

    func run() async throws {
        let old = try keys.file(database).read()
        let file = LedgerKeyFile(path: newKeyFile)
        try await database.withStore { [self] store in
            if !file.exists { try file.write(try LedgerSigningKey.generate(name: old.name)) }
            let new = try file.read()
            let number = try await store.ledger.rotate(from: old, to: new.verifierKey, reason: reason)
            if output.json {
                var line = JSONLine()
                line.add("number", number: Int64(number))
                line.add("verifier_key", string: "\(new.verifierKey)")
                line.add("key_file", string: file.path)
                return try Terminal.output.write(line.line)
            }
            try Terminal.output.write(
                "Key \(number) signs from now on: \(new.verifierKey)\nIts secret is in \(file.path.printable): give that to the daemons.\n"
            )
        }
    }
}
