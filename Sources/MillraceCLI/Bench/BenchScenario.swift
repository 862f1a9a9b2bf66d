import ArgumentParser
import Millrace
import MillracePostgres

/// What can be measured by itself, in the order of a run; each gets a new database.
enum BenchScenario: String, CaseIterable, Sendable, ExpressibleByArgument {
    case callers, publish, append, `import`, stream, aggregate, read, fanout, latency, handle, project, ledger,
        horizon, hot, growth

    var title: String {
        switch self {
        case .callers: "Single events, each acknowledged"
        case .publish: "Single events by SQL clients in their own transactions"
        case .append: "Requests of many events"
        case .import: "Import"
        case .stream: "Reading a stream"
        case .aggregate: "Loading an aggregate"
        case .read: "Reading the whole log"
        case .fanout: "Live subscribers"
        case .latency: "End to end, open loop"
        case .handle: "Handling the whole log"
        case .project: "Building a read model"
        case .ledger: "Keeping the ledger"
        case .horizon: "The horizon under load"
        case .hot: "One stream that everybody appends to"
        case .growth: "A log that has grown"
        }
    }

    /// Those of a run that names none: growth takes long and much room.
    static let usual = allCases.filter { $0 != .growth }

    func run(on stage: BenchStage) async throws -> [ContestResult] {
        switch self {
        case .callers: try await CallersScenario(stage: stage).run()
        case .publish: try await PublishScenario(stage: stage).run()
        case .append: try await AppendScenario(stage: stage).run()
        case .import: try await ImportScenario(stage: stage).run()
        case .stream: try await StreamScenario(stage: stage).run()
        case .aggregate: try await AggregateScenario(stage: stage).run()
        case .read: try await ReadScenario(stage: stage).run()
        case .fanout: try await FanoutScenario(stage: stage).run()
        case .latency: try await LatencyScenario(stage: stage).run()
        case .handle: try await HandleScenario(stage: stage).run()
        case .project: try await ProjectScenario(stage: stage).run()
        case .ledger: try await LedgerScenario(stage: stage).run()
        case .horizon: try await HorizonScenario(stage: stage).run()
        case .hot: try await HotScenario(stage: stage).run()
        case .growth: try await GrowthScenario(stage: stage).run()
        }
    }
}
