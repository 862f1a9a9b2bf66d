import ArgumentParser
import Millrace
import MillracePostgres

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
        let state = try await database.withStore { [asOf, output] store -> String? in
            guard let state = try await store.rebuild(stream, asOf: asOf) else { return nil }
            return output.json ? state.text : try await Rebuild.pretty(state, in: store.client)
        }
        guard let state else { throw Failure(.badInput, "\(stream) has no events by then; check its type and its id") }
        try Terminal.output.write(state + "\n")
    }

    // PostgreSQL lays it out, because it keeps every digit of a number.
    private static func pretty(_ state: JSON, in session: some PostgresSession) async throws -> String {
        try await session.query("SELECT jsonb_pretty($1)", [.jsonb(state.utf8)])[0].decode(String.self, at: 0)
    }
}
