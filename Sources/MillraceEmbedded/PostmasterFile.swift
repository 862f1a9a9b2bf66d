import Foundation

/// What `postmaster.pid` says: the server keeps it while it runs, and leaves it behind when it is killed.
struct PostmasterFile: Sendable, Hashable {
    let processID: Int32
    let port: Int
    let socketFolder: String
    /// Empty where there is no TCP port.
    let listenAddress: String
    let isReady: Bool

    static func path(in cluster: String) -> String { cluster + "/postmaster.pid" }

    /// Nil where there is none, or the server has not written all of it yet.
    init?(cluster: String) {
        guard let text = try? String(contentsOfFile: Self.path(in: cluster), encoding: .utf8) else { return nil }
        self.init(text)
    }

    init?(_ text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 6, let processID = Int32(lines[0].trimmingCharacters(in: .whitespaces)), processID > 0,
            let port = Int(lines[3])
        else { return nil }
        self.processID = processID
        self.port = port
        socketFolder = String(lines[4])
        listenAddress = String(lines[5])
        isReady = lines.count >= 8 && lines[7].trimmingCharacters(in: .whitespaces) == "ready"
    }

    /// Whom it names, even where the rest is missing or damaged.
    static func processID(cluster: String) -> Int32? {
        guard let text = try? String(contentsOfFile: path(in: cluster), encoding: .utf8) else { return nil }
        return text.split(separator: "\n").first.flatMap { Int32($0.trimmingCharacters(in: .whitespaces)) }
    }
}
