import ArgumentParser
import Millrace

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct Rebuild: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the state of an aggregate, folded from its events.",
        discussion: """
            The data of the events, merged object into object in version order.

            Example: millrace rebuild order 42 --as-of 2018-01-01
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Argument var aggregateType: String
    @Argument var aggregateID: String

    @Option(help: "A version, a date, or an RFC 3339 time; otherwise now.")
    var asOf: PointInTime = .now

    func run() async throws {
        let stream = StreamID(aggregateType, aggregateID)
        let state = try await database.withStore { [asOf] store in try await store.rebuild(stream, asOf: asOf) }
        guard let state else { throw Failure(.badInput, "\(stream) has no events by then; check its type and its id") }
        Terminal.output.write((output.json ? state.text : try pretty(state)) + "\n")
    }

    private func pretty(_ state: JSON) throws -> String {
        let object = try JSONSerialization.jsonObject(with: Data(state.utf8), options: [.fragmentsAllowed])
        let data = try JSONSerialization.data(
            withJSONObject: object,
            options: [.prettyPrinted, .sortedKeys, .fragmentsAllowed, .withoutEscapingSlashes]
        )
        return String(decoding: data, as: UTF8.self)
    }
}
