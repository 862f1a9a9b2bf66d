import Millrace
import MillracePostgres
import Testing

@Suite(.timeLimit(.minutes(15)))
struct RemovingTests {
    @Test func aHandlerIsForgottenOnceNobodyOffersIt() async throws {
        try await withStore { store in
            let handling = try await Handling(store)
            let handler = Handler("h", options: HandlerOptions(lanes: 2)) { event, context in
                try await Handling.note(event, context)
                return event.version == 2 ? .park(because: "to see") : .done
            }
            try await handling.publish(streams: 3, events: 3)
            try await handling.working([handler]) { _ in
                try await handling.isDone("h")
                await #expect(throws: PostgresError.self) {
                    try await store.client.query("SELECT millrace.remove_handler('h')")
                }
            }
            try await store.client.query("SELECT millrace.remove_handler('h', 'replaced')")
            for table in ["event_handlers", "handler_lanes", "handler_counts", "parked_events"] {
                #expect(try await handling.texts("SELECT count(*)::text FROM millrace.\(table)") == ["0"], "\(table)")
            }
            #expect(
                try await handling.texts("SELECT format('%s %s', action, reason) FROM millrace.handler_actions") == [
                    "remove replaced"
                ]
            )
            #expect(try await store.handlers.actions(of: nil).map(\.kind) == [.remove])
        }
    }
}
