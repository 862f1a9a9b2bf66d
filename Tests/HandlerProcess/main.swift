// A process of its own for the tests: a worker whose handlers write down what they handle, until its standard input ends. Nothing keeps
// an effect from being written twice: that is what the tests look for.

import Foundation
import Logging
import Millrace
import MillracePostgres
import Synchronization

/// PostgreSQL may be down when a worker starts: so often it tries again, a beat apart.
private let attemptLimit = 600
private let attemptBeat = Duration.milliseconds(100)

let arguments = CommandLine.arguments
guard arguments.count >= 6, let lease = Int(arguments[3]), let beat = Int(arguments[4]), let lanes = Int(arguments[5])
else { fatalError("usage: HandlerProcess CONNECTION NAME LEASE_MS BEAT_MS LANES [VERSION …]") }
/// Of the read model that it writes instead of handling.
private let versions = arguments.dropFirst(6).map { Int($0) ?? 0 }
/// Instead of all that, the key with which it seals the ledger.
private let sealingKey = arguments.count == 8 && arguments[6] == "seal" ? arguments[7] : nil
private let name = arguments[2]

var logger = Logger(label: "handlers") { StreamLogHandler.standardError(label: $0) }
logger.logLevel =
    ProcessInfo.processInfo.environment["MILLRACE_CHAOS_LOG"].flatMap(Logger.Level.init(rawValue:)) ?? .critical

private let options = HandlerOptions(
    lanes: lanes,
    batchSize: 50,
    retry: HandlerRetryPolicy(
        attempts: 4,
        backoff: PostgresBackoff(initial: .milliseconds(30), maximum: .milliseconds(300))
    )
)
private let handlers = [
    Handler("each", matching: .eventTypes("chaos.event"), options: options) { event, context in
        try await Chore.handle(event, context, worker: name)
    },
    Handler.batches("batches", matching: .eventTypes("chaos.event"), options: options) { events, context in
        for event in events {
            let outcome = try await Chore.handle(event, context, worker: name)
            if outcome != .done { return outcome }
        }
        return .done
    },
]

let status = try await withPostgresClient(PostgresConfiguration(arguments[1]), logger: logger) { client in
    if let sealingKey {
        print("ready")
        fflush(nil)
        let key = try LedgerSigningKey(sealingKey)
        let sealing = Task {
            try await LedgerSealer(EventStore(client, logger: logger), key: key, logger: logger).run()
        }
        Thread.detachNewThread {
            while readLine() != nil {}
            sealing.cancel()
        }
        try await sealing.value
        return EXIT_SUCCESS
    }
    let worker = HandlerWorker(
        EventStore(client, logger: logger),
        handlers: versions.isEmpty ? handlers : [],
        projections: versions.map(Readings.projection),
        options: WorkerOptions(name: name, lease: .milliseconds(lease), beat: .milliseconds(beat)),
        logger: logger
    )
    print("ready")
    // Before anybody reads: it would wait for the lock of a standard input that is being read.
    fflush(nil)
    let isAskedToStop = Atomic(false)
    Thread.detachNewThread {
        while readLine() != nil {}
        isAskedToStop.store(true, ordering: .releasing)
        worker.stop()
    }
    for _ in 1...attemptLimit where !isAskedToStop.load(ordering: .acquiring) {
        do {
            try await worker.run()
            return EXIT_SUCCESS
        } catch {
            logger.error("the worker could not start", metadata: ["error": "\(error)"])
            try await Task.sleep(for: attemptBeat)
        }
    }
    return isAskedToStop.load(ordering: .acquiring) ? EXIT_SUCCESS : EXIT_FAILURE
}
exit(status)
