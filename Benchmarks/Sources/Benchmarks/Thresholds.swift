import Foundation

/// What an event costs on each path, as the file that is checked in says it, and as it was measured.
struct Costs: Codable, Equatable {
    /// Calls of malloc and its like, an event.
    var allocations: Double?
    /// An event; nil where they were not counted.
    var instructions: Double?
}

/// By path.
struct Thresholds: Codable, Equatable {
    /// More than this beyond the file's figure is a failure. Where a page ends is partly chance, and makes fractions of
    /// an allocation an event; what is added to every event is a whole one.
    static let allocationExcess = 0.5
    /// As a share: compilers and libraries differ.
    static let instructionExcess = 0.10

    var paths: [String: Costs]

    init(file: String) throws {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw BenchmarkFailure("there is no file \(file): run with --update to write it")
        }
        paths = try JSONDecoder().decode([String: Costs].self, from: data)
    }

    init(_ paths: [String: Costs]) { self.paths = paths }

    func write(to file: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try (try encoder.encode(paths) + Data("\n".utf8)).write(to: URL(fileURLWithPath: file))
    }

    /// What is dearer than it may be, in words; empty where nothing is.
    func excesses(of measured: [String: Costs]) -> [String] {
        measured.sorted { $0.key < $1.key }.flatMap { path, costs -> [String] in
            guard let known = paths[path] else { return ["\(path): the file has no figures for it"] }
            var excesses: [String] = []
            if let now = costs.allocations, let limit = known.allocations.map({ $0 + Thresholds.allocationExcess }),
                now > limit
            {
                excesses.append("\(path): \(now.shown) allocations an event, at most \(limit.shown) are allowed")
            }
            if let now = costs.instructions,
                let limit = known.instructions.map({ $0 * (1 + Thresholds.instructionExcess) }),
                now > limit
            {
                excesses.append("\(path): \(now.shown) instructions an event, at most \(limit.shown) are allowed")
            }
            return excesses
        }
    }
}

extension Double {
    /// With two digits behind the point, or none where they say nothing.
    var shown: String {
        magnitude >= 1000 ? String(Int(rounded())) : String((self * 100).rounded() / 100)
    }

    /// To two digits behind the point.
    var hundredths: Double { (self * 100).rounded() / 100 }
}
