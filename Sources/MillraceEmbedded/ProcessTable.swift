import Foundation

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Which processes of a server live. `kill(pid, 0)` cannot tell: it also succeeds for a zombie, which stays for ever
/// where nobody reaps, and for whoever was given the number since.
enum ProcessTable {
    #if os(Linux)
        /// The living processes of the server whose data lies in this folder: they work in it.
        static func serverProcesses(cluster: String) async throws -> [Int32] {
            let names = try FileManager.default.contentsOfDirectory(atPath: "/proc")
            return names.compactMap(Int32.init).filter { isServer($0, cluster: cluster) }.sorted()
        }

        /// Whether the process lives, is a PostgreSQL, and works in this folder.
        private static func isServer(_ processID: Int32, cluster: String) -> Bool {
            // "123 (postgres) S …"; a zombie has neither a working directory nor a future.
            guard let data = FileManager.default.contents(atPath: "/proc/\(processID)/stat") else { return false }
            let text = String(decoding: data, as: UTF8.self)
            guard let opening = text.firstIndex(of: "("), let closing = text.lastIndex(of: ")") else { return false }
            guard text[text.index(after: opening)..<closing] == "postgres" else { return false }
            let state = text[text.index(after: closing)...].first { $0 != " " }
            guard state != "Z", state != "X" else { return false }
            var there = stat()
            var here = stat()
            guard stat("/proc/\(processID)/cwd", &there) == 0, stat(cluster, &here) == 0 else { return false }
            return there.st_dev == here.st_dev && there.st_ino == here.st_ino
        }
    #else
        /// The living servers (not their children, whose folder `ps` does not show) of this data.
        static func serverProcesses(cluster: String) async throws -> [Int32] {
            let table = try await Program(path: "/bin/ps").run(
                ["-axo", "pid=,state=,command="],
                environment: ["LC_ALL": "C"]
            )
            return table.output.split(separator: "\n").compactMap { line in
                let fields = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: true)
                guard fields.count == 3, !fields[1].hasPrefix("Z"), fields[2].contains("postgres -D \(cluster) ") else {
                    return nil
                }
                return Int32(fields[0])
            }
        }
    #endif
}
