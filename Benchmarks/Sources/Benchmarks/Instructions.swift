import Foundation
import Subprocess

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

/// Instructions of a path, counted by valgrind in a process of its own.
///
/// Not by the processor: its counter is out of reach on many a virtual machine, and counts differ between processors because
/// memory is copied by other instructions on each.
struct Instructions {
    static let outputLimit = 1 << 20
    private static let repetitions = 2

    private let program: String

    /// nil where there is no valgrind.
    init?() {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let found = path.split(separator: ":").map { "\($0)/valgrind" }
            .first(where: FileManager.default.isExecutableFile(atPath:))
        guard let found else { return nil }
        program = found
    }

    /// What an event costs: of the fewest of some runs, since what waits for the server can only add to them.
    func ofAnEvent(_ path: HotPath, at address: String) async throws -> Double {
        func fewest(_ events: Int) async throws -> Int64 {
            var fewest = Int64.max
            for _ in 0..<Instructions.repetitions { fewest = min(fewest, try await total(path, events, address)) }
            return fewest
        }
        let (few, many) = (try await fewest(path.few), try await fewest(path.many))
        return Double(many - few) / Double(path.many - path.few)
    }

    private func total(_ path: HotPath, _ events: Int, _ address: String) async throws -> Int64 {
        let result = try await Subprocess.run(
            .path(FilePath(program)),
            arguments: [
                "--tool=callgrind", "--callgrind-out-file=/dev/null",
                try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"),
                "run", path.rawValue, "\(events)",
            ],
            environment: .inherit.updating(["PGDATABASE": address]),
            input: .none,
            output: .string(limit: Instructions.outputLimit),
            error: .string(limit: Instructions.outputLimit)
        )
        // “==4711== Collected : 123456”
        let line = result.standardError.split(separator: "\n").last { $0.contains("Collected : ") }
        guard result.terminationStatus.isSuccess,
            let total = line.flatMap({ Int64($0.split(separator: " ").last ?? "") })
        else {
            throw BenchmarkFailure(
                "valgrind failed (\(result.terminationStatus)): \(result.standardError.suffix(2000))"
            )
        }
        return total
    }
}
