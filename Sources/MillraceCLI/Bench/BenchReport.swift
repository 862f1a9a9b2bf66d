/// Everything a run found out, as `--json` writes it and as the table and the picture show it.
struct BenchReport: Codable, Sendable {
    /// Of this document's form.
    static let form = 1

    struct Server: Codable, Sendable {
        let version: String
        /// Started for the run and gone with it.
        let isOwn: Bool
        let settings: [String: String]
    }

    struct Run: Codable, Sendable {
        let rounds: Int
        let secondsATurn: Double
        let isQuick: Bool
        let seed: UInt64
        /// How single rows were inserted: pgbench, or our own client where there is none.
        let rowInserter: String
        let seconds: Double
    }

    /// One scenario's end: what its turns say they stored, and what is in the tables.
    struct Count: Codable, Sendable, Equatable {
        let scenario: String
        let appended: Int
        let stored: Int
        let inserted: Int
        let inTwin: Int
        let peakMemoryBytes: Int64

        var holds: Bool { appended == stored && inserted == inTwin }
    }

    let form: Int
    let millrace: String
    let server: Server
    let machine: MachineFacts
    let run: Run
    let contests: [ContestResult]
    let counts: [Count]
}
