import ArgumentParser
import Millrace

struct LedgerInit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Begin the ledger: from now on everything can be sealed, from the first event on.",
        discussion: """
            Makes the key file where it is not there. The key never goes to the database. Keep a copy of it where no one reaches it, \
            and give the public key to everybody who is to check.
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var keys: LedgerKeyOptions

    @Argument(
        help:
            "The ledger's name for all the world, such as shop.example/ledger. Needed where the key file is not there yet."
    )
    var origin: String?

    @Option(help: ArgumentHelp("How long an event may stay unsealed, in milliseconds.", valueName: "ms"))
    var sealInterval = 1_000

    func run() async throws {
        let file = try keys.file(database)
        try await database.withStore { [self] store in
            if let status = try await store.ledger.status(countingTo: 1) {
                throw Failure(.failed, "this store keeps a ledger already, \(status.origin.printable)")
            }
            let key: LedgerSigningKey
            if file.exists {
                key = try file.read()
                if let origin, origin != key.name {
                    throw Failure(.badInput, "the key file is for \(key.name.printable), not for \(origin.printable)")
                }
            } else {
                guard let origin else {
                    throw Failure(
                        .usage,
                        "name the ledger, such as shop.example/ledger: there is no key file yet that does"
                    )
                }
                key = try LedgerSigningKey.generate(name: origin)
                try file.write(key)
            }
            try await store.ledger.initialise(key: key.verifierKey, sealInterval: .milliseconds(sealInterval))
            try report(key, file)
        }
    }

    private func report(_ key: LedgerSigningKey, _ file: LedgerKeyFile) throws {
        if output.json {
            var line = JSONLine()
            line.add("origin", string: key.name)
            line.add("verifier_key", string: "\(key.verifierKey)")
            line.add("key_file", string: file.path)
            return try Terminal.output.write(line.line)
        }
        try Terminal.output.write(
            """
            The ledger \(key.name.printable) has begun. Its public key, for everybody who is to check:

              \(key.verifierKey)

            Keep that outside of this database. The secret one is in \(file.path.printable): keep a copy where no one reaches it.
            Seal with `millrace ledger seal`, or all the time with `millrace work --ledger-key \(file.path.printable)`.

            """
        )
    }
}
