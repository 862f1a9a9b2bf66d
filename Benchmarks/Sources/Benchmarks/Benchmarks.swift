import AllocationCount
import Dispatch
import Foundation
import Logging
import Millrace
import MillraceEmbedded
import MillracePostgres

/// Counts what an event costs on the hot paths, in allocations and instructions, which do not depend on the clock, and holds the
/// figures against the file. Exits with 1 where one is dearer.
@main
struct Benchmarks {
    private static let usage = """
        usage: Benchmarks [--update] [--thresholds FILE]
               Benchmarks run PATH EVENTS      (one path alone, for valgrind; the address in PGDATABASE)
        """
    private static let repetitions = 20

    /// Blocks the main thread, and no other: an asynchronous main would leave it to the dispatch library, which ends it in a way
    /// that valgrind 3.19 does not survive.
    static func main() {
        let ended = DispatchSemaphore(value: 0)
        Task.detached {
            await work()
            ended.signal()
        }
        ended.wait()
        fflush(nil)
        _exit(0)
    }

    private static func work() async {
        do {
            let arguments = Array(CommandLine.arguments.dropFirst())
            if arguments.first == "run" {
                try await run(Array(arguments.dropFirst()))
            } else {
                try await compare(arguments)
            }
        } catch {
            fflush(nil)
            FileHandle.standardError.write(Data("benchmarks: \(error)\n".utf8))
            _exit(1)
        }
    }

    private static func run(_ arguments: [String]) async throws {
        guard arguments.count == 2, let path = HotPath(rawValue: arguments[0]), let events = Int(arguments[1]) else {
            throw BenchmarkFailure(usage)
        }
        // libpq takes a whole connection string as the name of the database here.
        let address = ProcessInfo.processInfo.environment["PGDATABASE"] ?? ""
        try await withStore(address) { try await path.run(events: events, on: $0) }
    }

    private static func compare(_ arguments: [String]) async throws {
        var file = "thresholds.json"
        var updates = false
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            switch argument {
            case "--update": updates = true
            case "--thresholds":
                guard let named = rest.popFirst() else { throw BenchmarkFailure(usage) }
                file = named
            default: throw BenchmarkFailure(usage)
            }
        }
        let measured = try await withServer(measure)
        if updates {
            // What cannot be counted here stays as it is.
            let known = try? Thresholds(file: file).paths
            let merged = measured.merging(known ?? [:]) { new, old in
                Costs(
                    allocations: new.allocations ?? old.allocations,
                    instructions: new.instructions ?? old.instructions
                )
            }
            try Thresholds(merged.filter { HotPath(rawValue: $0.key) != nil }).write(to: file)
            print("written to \(file)")
            return
        }
        let excesses = try Thresholds(file: file).excesses(of: measured)
        guard excesses.isEmpty else {
            throw BenchmarkFailure(
                "dearer than \(file) says:\n  \(excesses.joined(separator: "\n  "))\nFind out why; where it is worth it, run "
                    + "`make benchmarks ARGS=--update` and say in the commit what it buys."
            )
        }
        print("no path is dearer than \(file) allows")
    }

    private static func measure(_ address: String) async throws -> [String: Costs] {
        var measured: [String: Costs] = [:]
        let instructions = Instructions()
        if instructions == nil { print("instructions are not counted: there is no valgrind") }
        if allocation_count_works() == 0 { print("allocations are not counted: that takes glibc") }
        for path in HotPath.allCases {
            var costs = Costs()
            if allocation_count_works() != 0 { costs.allocations = try await allocations(path, address).hundredths }
            costs.instructions = try await instructions?.ofAnEvent(path, at: address).rounded()
            measured[path.rawValue] = costs
            print(
                "\(path.rawValue): \(costs.allocations?.shown ?? "–") allocations, "
                    + "\(costs.instructions?.shown ?? "–") instructions an event"
            )
        }
        return measured
    }

    /// The fewest of some repetitions: what else runs in the process can only add to them.
    private static func allocations(_ path: HotPath, _ address: String) async throws -> Double {
        try await withStore(address) { store in
            try await path.prepared(on: store) {
                let few = try await fewestAllocations(path, path.few, store)
                let many = try await fewestAllocations(path, path.many, store)
                return Double(many - few) / Double(path.many - path.few)
            }
        }
    }

    private static func fewestAllocations(_ path: HotPath, _ events: Int, _ store: EventStore) async throws -> Int64 {
        var fewest = Int64.max
        for _ in 0..<repetitions {
            let before = allocation_count()
            try await path.run(events: events, on: store)
            fewest = min(fewest, Int64(allocation_count() - before))
        }
        return fewest
    }

    // MARK: The store

    private static let logger = Logger(label: "benchmarks") { StreamLogHandler.standardError(label: $0) }

    private static func withStore<Value>(_ address: String, _ body: (EventStore) async throws -> Value) async throws
        -> Value
    {
        try await withPostgresClient(PostgresConfiguration(address), logger: logger) { client in
            let store = EventStore(client, logger: logger)
            let value = try await body(store)
            await store.flush()
            return value
        }
    }

    /// A PostgreSQL in a new folder that is removed afterwards, with enough events in its log. What it costs on disk is not asked.
    private static func withServer<Value: Sendable>(_ body: (String) async throws -> Value) async throws -> Value {
        let folder = FileManager.default.temporaryDirectory.path + "/millrace-benchmarks-\(UUID().uuidString)"
        var configuration = EmbeddedConfiguration(dataDirectory: folder)
        configuration.listen = .socketOnly
        configuration.settings["fsync"] = "off"
        defer {
            let elsewhere = try? FileManager.default.destinationOfSymbolicLink(atPath: folder + "/postgres")
            for place in [elsewhere, folder].compactMap({ $0 }) { try? FileManager.default.removeItem(atPath: place) }
        }
        let server = try await EmbeddedPostgres.start(configuration, logger: logger)
        do {
            let address = server.connectionString
            try await withStore(address) { store in
                try await Migrator(client: store.client).migrate()
                for call in 0..<(HotPath.stored / HotPath.page) {
                    try await store.append(HotPath.request(of: HotPath.page, "fill-\(call)"))
                }
            }
            let value = try await body(address)
            try await server.stop(.immediate)
            return value
        } catch {
            try? await server.stop(.immediate)
            throw error
        }
    }
}
