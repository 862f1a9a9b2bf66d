import ArgumentParser
import Millrace

struct LedgerSeal: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seal",
        abstract: "Seal what is stored now; `millrace work --ledger-key` does it all the time."
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var keys: LedgerKeyOptions
    @OptionGroup var publishing: LedgerPublishOptions

    func run() async throws {
        let key = try keys.file(database).read()
        let targets = try publishing.targets()
        try await database.withStore { [self] store in
            let began = ContinuousClock.now
            let sealed = try await store.ledger.seal(with: key)
            let duration = ContinuousClock.now - began
            if output.json {
                var line = JSONLine()
                line.add("blocks", number: Int64(sealed.blocks))
                line.add("events", number: Int64(sealed.events))
                line.add("last_block", number: Int64(sealed.block))
                line.add("seconds", seconds: duration)
                try Terminal.output.write(line.line)
            } else if sealed.events == 0 {
                try Terminal.output.write("Everything is sealed, up to block \(sealed.block.grouped).\n")
            } else {
                let rate = Int(Double(sealed.events) / max(duration.seconds, 0.001))
                try Terminal.output.write(
                    "Sealed \(sealed.events.grouped) events in \(sealed.blocks.grouped) blocks, up to block \(sealed.block.grouped), in \(duration.brief) (\(rate.grouped) events/s).\n"
                )
            }
            try await LedgerPublisher(store, targets: targets, logger: DatabaseOptions.logger).publishAll()
        }
    }
}
