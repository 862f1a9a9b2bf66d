import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// What the figures were measured on.
struct MachineFacts: Codable, Sendable {
    let system: String
    let architecture: String
    let processors: Int
    let processorModel: String?
    let memoryBytes: Int64

    static func read() -> MachineFacts {
        var name = utsname()
        uname(&name)
        let model = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)).flatMap { text in
            text.split(separator: "\n").first { $0.hasPrefix("model name") }?.split(separator: ":").last
        }
        return MachineFacts(
            system: text(&name.sysname) + " " + text(&name.release),
            architecture: text(&name.machine),
            processors: ProcessInfo.processInfo.activeProcessorCount,
            processorModel: model.map { $0.trimmingCharacters(in: .whitespaces) },
            memoryBytes: Int64(clamping: ProcessInfo.processInfo.physicalMemory)
        )
    }

    private static func text<Field>(_ field: inout Field) -> String {
        withUnsafeBytes(of: &field) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}

/// The most memory this process has had.
enum PeakMemory {
    /// Begins anew, where the system can; elsewhere the peak is that since the start of the process.
    static func reset() {
        // 5: the peak of the resident set, and nothing else (proc(5), clear_refs).
        try? "5".write(toFile: "/proc/self/clear_refs", atomically: false, encoding: .utf8)
    }

    static var bytes: Int64 {
        if let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }),
            let kilobytes = Int64(line.split(separator: " ").dropLast().last ?? "")
        {
            return kilobytes * 1024
        }
        var usage = rusage()
        #if canImport(Darwin)
            getrusage(RUSAGE_SELF, &usage)
            return Int64(usage.ru_maxrss)
        #else
            getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
            return Int64(usage.ru_maxrss) * 1024
        #endif
    }
}
