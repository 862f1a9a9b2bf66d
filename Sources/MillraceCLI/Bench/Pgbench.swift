import Millrace
import MillracePostgres
import Subprocess

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// PostgreSQL's own load generator: many clients in a process that is not ours, written in C.
struct Pgbench: Sendable {
    static let outputLimit = 1 << 20
    /// It counts whole seconds; a shorter turn is so many transactions, as a guess at what it takes.
    static let shortestRun = Duration.seconds(1)
    static let transactionsASecond = 4_000.0

    let path: String

    /// Beside the server's programs, else on the PATH.
    init?(programs: String?) {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let folders = [programs].compactMap { $0 } + path.split(separator: ":").map(String.init)
        let found = folders.map { $0 + "/pgbench" }.first(where: FileManager.default.isExecutableFile(atPath:))
        guard let found else { return nil }
        self.path = found
    }

    /// One run of a script, prepared, against a database; the latency of every transaction is kept.
    /// - Parameter options: settings of the sessions, as libpq's `options` takes them.
    /// - Throws: ``Failure`` with what it said where it failed.
    func run(
        _ script: [UInt8],
        database: String,
        clients: Int,
        order: Contest.TurnOrder,
        body: BenchOrders.Body,
        options: String? = nil
    ) async throws -> Turn {
        let folder = FileManager.default.temporaryDirectory.path + "/millrace-pgbench-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let file = folder + "/script.sql"
        try Data(script).write(to: URL(fileURLWithPath: file))
        let amount =
            order.duration < Pgbench.shortestRun
            ? "--transactions=\(max(1, Int(order.duration.seconds * Pgbench.transactionsASecond) / clients))"
            : "--time=\(Int(order.duration.seconds.rounded()))"
        let threads = min(clients, max(1, ProcessInfo.processInfo.activeProcessorCount))
        let arguments = [
            "--no-vacuum", "--protocol=prepared", "--client=\(clients)", "--jobs=\(threads)", amount,
            "--log", "--log-prefix=\(folder)/log", "--file=\(file)", "--define=v=0", "--define=run=p\(order.number)",
            "--define=data=\(body.data.text)", "--define=metadata=\(body.metadata.text)",
        ]
        // In the environment and not among the arguments, which everyone on the machine can read: it may hold a password.
        var environment: [Environment.Key: String?] = ["PGDATABASE": database]
        if let options { environment["PGOPTIONS"] = options }
        // In a session of its own: a Ctrl-C reaches Millrace, which ends it.
        var platform = PlatformOptions()
        platform.createSession = true
        let result = try await Subprocess.run(
            .path(FilePath(path)),
            arguments: Arguments(arguments),
            environment: .inherit.updating(environment),
            platformOptions: platform,
            input: .none,
            output: .string(limit: Pgbench.outputLimit),
            error: .string(limit: Pgbench.outputLimit)
        )
        try Task.checkCancellation()
        guard result.terminationStatus.isSuccess else {
            let reason = result.standardError.split(separator: "\n").first.map(String.init) ?? "it gave no reason"
            throw Failure(.failed, "pgbench failed: \(reason.printable)")
        }
        var turn = try Pgbench.turn(result.standardOutput)
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) where name.hasPrefix("log") {
            let log = try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name))
            Pgbench.record(log, into: &turn.latencies)
        }
        return turn
    }

    /// What it says at its end: how many transactions, at which rate without the time for connecting.
    static func turn(_ output: String) throws -> Turn {
        var turn = Turn()
        var rate = 0.0
        for line in output.split(separator: "\n") {
            let words = line.split(separator: " ")
            if line.hasPrefix("number of transactions actually processed:"), words.count >= 6 {
                turn.events = Int(words[5].prefix { $0.isNumber }) ?? 0
            } else if line.hasPrefix("tps = "), words.count >= 3 {
                rate = Double(words[2]) ?? 0
            }
        }
        guard turn.events > 0, rate > 0 else {
            throw Failure(.failed, "pgbench did not say how many transactions it ran")
        }
        turn.seconds = Double(turn.events) / rate
        return turn
    }

    /// Its log has a line a transaction: client, number, microseconds …
    static func record(_ log: Data, into latencies: inout Latencies) {
        for line in log.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 3)
            guard fields.count >= 3, let microseconds = UInt64(String(decoding: fields[2], as: UTF8.self)) else {
                continue
            }
            latencies.record(nanoseconds: microseconds * 1000)
        }
    }
}
