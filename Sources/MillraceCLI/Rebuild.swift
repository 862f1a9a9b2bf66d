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
            What the reducer of its type makes of them (millrace.register_reducer), else their data merged object into \
            object, in version order.

            Examples:
              millrace rebuild order 42
              millrace rebuild order 42 --as-of 2018-01-01    as that day began, UTC
              millrace rebuild order 42 --as-of 3             after version 3
            """
    )

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Argument var aggregateType: String
    @Argument var aggregateID: String

    @OptionGroup var past: PastOptions

    func run() async throws {
        let stream = StreamID(aggregateType, aggregateID)
        let state = try await database.withStore { [past, output] store -> String? in
            guard let state = try await store.rebuild(stream, asOf: past.point) else { return nil }
            return output.json ? state.text : try await Rebuild.pretty(state, in: store.client)
        }
        guard let state else {
            throw Failure(
                .badInput,
                "\(stream) has no state\(past.asOf == nil ? "" : " as of then"); check its type and its id\(past.asOf == nil ? "" : ", and the time")"
            )
        }
        try Terminal.output.write(state + "\n")
    }

    // PostgreSQL lays it out, because it keeps every digit of a number.
    private static func pretty(_ state: JSON, in session: some PostgresSession) async throws -> String {
        try await session.query("SELECT jsonb_pretty($1)", [.jsonb(state.utf8)])[0].decode(String.self, at: 0)
    }
}
