import Millrace
import MillracePostgres

/// Looks at the projections of a store.
struct ProjectionChecks {
    /// What is kept to go back to may take so many bytes before it is worth a warning.
    static let keptBudget: Int64 = 1 << 30
    /// How long a generation may be there to be compared: whoever compares drops it.
    static let longestVerification = Duration.seconds(86_400)

    struct Generation {
        let projection: String
        let number: Int
        let version: Int
        let state: String
        let isForVerifying: Bool
        let isInline: Bool
        let isSQL: Bool
        let handler: String
        let handlerState: String
        let handlerReason: String?
        let workers: Int
        let pending: String
        let lag: Duration
        let waitingStreams: Int64
        let bytes: Int64
        let age: Duration

        /// Whether handlers ought to write it.
        var isWritten: Bool { state == "building" || state == "serving" && !isInline }
        var label: String { "generation \(number) of \(projection)" }

        init(_ row: PostgresRow) throws {
            projection = try row.decode(String.self, named: "projection")
            number = try row.decode(Int.self, named: "generation")
            version = try row.decode(Int.self, named: "version")
            state = try row.decode(String.self, named: "state")
            isForVerifying = try row.decode(String.self, named: "purpose") == "verify"
            isInline = try row.decode(String.self, named: "mode") == "inline"
            isSQL = try row.decode(Bool.self, named: "is_sql")
            handler = try row.decode(String.self, named: "handler_id")
            handlerState = try row.decode(String.self, named: "handler_state")
            handlerReason = try row.decode(String?.self, named: "handler_reason")
            workers = try row.decode(Int.self, named: "workers")
            let isExact = try row.decode(Bool.self, named: "is_exact")
            pending = try row.decode(Int64.self, named: "pending").grouped + (isExact ? "" : "+")
            lag = .seconds(try row.decode(Double.self, named: "lag"))
            waitingStreams = try row.decode(Int64.self, named: "waiting_streams")
            bytes = try row.decode(Int64.self, named: "bytes")
            age = .seconds(try row.decode(Double.self, named: "seconds"))
        }
    }

    let client: PostgresClient
    /// How long events, or a generation that was asked for, may wait unremarked.
    let patience: Duration
    var keptBudget = ProjectionChecks.keptBudget

    func run() async throws -> [Check] {
        let generations = try await client.query(.embedded(PackageResources.doctor_projections_sql)).map {
            try Generation($0)
        }
        let found = generations.flatMap { written($0) + waiting($0) + left($0) } + kept(generations)
        if !found.isEmpty { return found }
        let projections = Set(generations.map(\.projection)).count
        return [.ok("projections", projections == 0 ? "none" : "\(projections), each written as it should be")]
    }

    /// One that should be written and is not.
    private func written(_ generation: Generation) -> [Check] {
        guard generation.isWritten else { return [] }
        let isServing = generation.state == "serving"
        if generation.handlerState != "active" {
            let reason = generation.handlerReason.map { ": \($0.printable)" } ?? ""
            let finding =
                "\(generation.label), which \(isServing ? "serves" : "is being built"), is \(generation.handlerState)\(reason); "
                + "\(generation.pending) events are pending"
            return generation.handlerState == "stopped"
                ? [
                    .failed(
                        "projections",
                        finding,
                        "mend the cause, then: millrace resume \(generation.handler.shellWord)"
                    )
                ]
                : [
                    .warning(
                        "projections",
                        finding,
                        "when it may go on: millrace resume \(generation.handler.shellWord)"
                    )
                ]
        }
        guard generation.workers == 0 else { return [] }
        let remedy =
            generation.isSQL
            ? "run the daemon: millrace up, or millrace work"
            : "start a process that has version \(generation.version) of \(generation.projection)"
        if isServing {
            guard generation.lag >= patience, generation.lag > .zero else { return [] }
            return [
                .failed(
                    "projections",
                    "nobody writes \(generation.label), which serves; \(generation.pending) events are pending, the oldest for "
                        + generation.lag.brief,
                    remedy
                )
            ]
        }
        guard generation.age >= patience else { return [] }
        return [
            .warning(
                "projections",
                "nobody builds \(generation.label), asked for \(generation.age.brief) ago",
                "\(remedy); or millrace projections drop \(generation.projection) --generation \(generation.number)"
            )
        ]
    }

    private func waiting(_ generation: Generation) -> [Check] {
        guard generation.isWritten, generation.waitingStreams > 0 else { return [] }
        let streams = generation.waitingStreams == 1 ? "stream waits" : "streams wait"
        let consequence = generation.state == "building" ? ": it cannot serve before" : ": it lacks what they have"
        return [
            .warning(
                "projections",
                "\(generation.waitingStreams.grouped) \(streams) for an event that failed in \(generation.label)\(consequence)",
                "millrace parked list --handler \(generation.handler.shellWord), then millrace parked retry, edit or discard"
            )
        ]
    }

    /// What a process that compared has left.
    private func left(_ generation: Generation) -> [Check] {
        guard generation.isForVerifying, generation.age >= ProjectionChecks.longestVerification else { return [] }
        return [
            .warning(
                "projections",
                "\(generation.label) is there to be compared since \(generation.age.brief), and takes \(generation.bytes.bytes)",
                "millrace projections drop \(generation.projection) --generation \(generation.number)"
            )
        ]
    }

    private func kept(_ generations: [Generation]) -> [Check] {
        let kept = generations.filter { $0.state == "kept" }
        let bytes = kept.reduce(0) { $0 + $1.bytes }
        guard bytes > keptBudget, let largest = kept.max(by: { $0.bytes < $1.bytes }) else { return [] }
        return [
            .warning(
                "projections",
                "\(kept.count.grouped) generations that are kept to go back to take \(bytes.bytes); \(largest.label) \(largest.bytes.bytes)",
                "when nobody goes back to it: millrace projections drop \(largest.projection) --generation \(largest.number)"
            )
        ]
    }
}
