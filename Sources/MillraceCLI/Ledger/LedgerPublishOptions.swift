import ArgumentParser
import Foundation
import Millrace

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Where checkpoints are published to.
struct LedgerPublishOptions: ParsableArguments {
    /// How long a webhook may take.
    private static let webhookTimeout = 10.0

    @Option(
        name: .customLong("publish-checkpoints"),
        help: ArgumentHelp(
            "Tell this place of each checkpoint: file:PATH, https://… (a POST of the note), or postgresql://… (a table there); may be given several times.",
            valueName: "target"
        )
    )
    var places: [String] = []

    func validate() throws { _ = try targets() }

    func targets() throws -> [LedgerPublicationTarget] { try places.map(LedgerPublishOptions.target) }

    private static func target(_ place: String) throws -> LedgerPublicationTarget {
        if place.hasPrefix("file:") {
            let path = String(place.dropFirst("file:".count))
            if !path.isEmpty { return .file(path) }
        } else if place.hasPrefix("postgresql://") || place.hasPrefix("postgres://") {
            return .database(place, name: shown(place))
        } else if place.hasPrefix("https://") || place.hasPrefix("http://"), let url = URL(string: place) {
            return webhook(url, name: shown(place))
        }
        throw ValidationError("--publish-checkpoints takes file:PATH, https://… or postgresql://…")
    }

    /// Without what may be a secret: user, password, query.
    private static func shown(_ place: String) -> String {
        guard var parts = URLComponents(string: place) else { return place.prefix { $0 != ":" } + ":…" }
        (parts.user, parts.password, parts.query, parts.fragment) = (nil, nil, nil, nil)
        return parts.string ?? place.prefix { $0 != ":" } + ":…"
    }

    private static func webhook(_ url: URL, name: String) -> LedgerPublicationTarget {
        LedgerPublicationTarget(name: name) { note in
            var request = URLRequest(url: url, timeoutInterval: webhookTimeout)
            request.httpMethod = "POST"
            request.setValue("text/plain; charset=utf-8", forHTTPHeaderField: "Content-Type")
            request.httpBody = Data("\(note)".utf8)
            let (_, answer) = try await URLSession.shared.data(for: request)
            guard let status = (answer as? HTTPURLResponse)?.statusCode, (200..<300).contains(status) else {
                throw WebhookRefusal(status: (answer as? HTTPURLResponse)?.statusCode)
            }
        }
    }
}

/// A webhook answered, and not that it took the checkpoint.
struct WebhookRefusal: Error, CustomStringConvertible {
    let status: Int?

    var description: String { status.map { "it answered with status \($0)" } ?? "its answer was none of HTTP" }
}

/// What a daemon does for the ledger.
struct LedgerDuty: Sendable {
    let key: LedgerKeyFile
    let targets: [LedgerPublicationTarget]

    /// Seals and publishes until it is cancelled. Where there is no key file yet, it looks once a minute.
    func run(_ store: EventStore) async throws {
        let publisher = LedgerPublisher(store, targets: targets, logger: DatabaseOptions.logger)
        let sealer = LedgerSealer(
            store,
            readingKey: { key.exists ? try key.read() : nil },
            publisher: publisher,
            logger: DatabaseOptions.logger
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await publisher.run() }
            group.addTask { try await sealer.run() }
            try await group.waitForAll()
        }
    }
}

/// What a daemon is told of the ledger.
struct LedgerDutyOptions: ParsableArguments {
    @Option(
        name: .customLong("ledger-key"),
        help: ArgumentHelp(
            "Seal the ledger with this key; otherwise \(LedgerKeyFile.environmentVariable).",
            valueName: "file"
        )
    )
    var keyFile: String?

    @OptionGroup var publishing: LedgerPublishOptions

    /// nil: it does not seal.
    /// - Parameter usual: where the key is looked for when none is named.
    func duty(usual: String? = nil) throws -> LedgerDuty? {
        let variable = ProcessInfo.processInfo.environment[LedgerKeyFile.environmentVariable] ?? ""
        let targets = try publishing.targets()
        if let named = keyFile ?? (variable.isEmpty ? nil : variable) {
            let file = LedgerKeyFile(path: named)
            _ = try file.read()
            return LedgerDuty(key: file, targets: targets)
        }
        if let usual { return LedgerDuty(key: LedgerKeyFile(path: usual), targets: targets) }
        guard targets.isEmpty else { throw Failure(.usage, "what seals publishes: name the key with --ledger-key") }
        return nil
    }
}
