import Millrace
import MillracePostgres
import MillraceTesting
import Testing

extension SchemaTests {
    @Suite("what people and programs do to the store")
    struct ActTests {
        private static let acts = """
            SELECT format('%s %s %s', e.event_type, e.event_data ->> 'subject', e.event_data ->> 'reason')
            FROM millrace.read_stream('millrace.administration', 'acts') AS e
            """

        @Test("is an event of a ledgered stream: who, from where, through what, why")
        func recorded() async throws {
            try await withTestDatabase { client in
                try await client.beginLedger(chaining: "account")
                let handling = try await SQLHandling(client)
                try await handling.register()
                try await client.run("SELECT millrace.publish_event('t', '1', 'account', '{}')")
                _ = try await handling.run()
                try await client.withConnection { connection in
                    try await connection.run("SET application_name = 'console'")
                    try await connection.run("SET millrace.actor = 'ada'")
                    try await connection.run("SELECT millrace.stop_handler('h', 'paused', 'maintenance tonight')")
                    try await connection.run("SELECT millrace.resume_handler('h')")
                    try await connection.run("SELECT millrace.reset_handler('h', 0)")
                    try await connection.run("SELECT millrace.set_seal_interval('5 seconds')")
                    try await connection.run("RESET ALL")
                }
                #expect(
                    try await client.texts(Self.acts) == [
                        "millrace.ledger_created shop.example/ledger ", "millrace.types_declared  ",
                        "millrace.handler_pause h maintenance tonight", "millrace.handler_resume h ",
                        "millrace.handler_reset h ", "millrace.seal_interval_set shop.example/ledger ",
                    ]
                )
                let who = """
                    SELECT format('%s %s %s', e.event_data ->> 'by' = session_user, e.event_data ->> 'actor', e.event_data ->> 'program')
                    FROM millrace.read_stream('millrace.administration', 'acts') AS e WHERE e.event_type = 'millrace.handler_pause'
                    """
                #expect(try await client.text(who) == "t ada console")
                let audit = try await ChainAudit(of: client)
                #expect(audit.isClean && audit.chained == 7)
            }
        }

        @Test("is recorded with what was before and after, where it changes what everybody reads and appends by")
        func policies() async throws {
            try await withTestDatabase { client in
                try await client.beginLedger()
                try await client.script(
                    """
                    CREATE FUNCTION public.fold(state jsonb, event millrace.events) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
                    SELECT millrace.register_reducer('account', 'public.fold');
                    SELECT millrace.register_reducer('account', 'public.fold');
                    SELECT millrace.remove_reducer('account');
                    UPDATE millrace.store SET max_batch_events = 500;
                    """
                )
                let changes = """
                    SELECT format('%s %s %s', e.event_data ->> 'subject', e.event_data #> '{details,before,max_batch_events}',
                                  e.event_data #>> '{details,after,function}')
                    FROM millrace.read_stream('millrace.administration', 'acts') AS e WHERE e.event_type = 'millrace.policy_changed'
                    """
                let recorded = try await client.texts(changes)
                #expect(recorded.count == 3, "\(recorded)")
                #expect(recorded.last == "store 10000 ")
            }
        }

        @Test("leaves no trace where it was rolled back, and none where no ledger is kept")
        func onlyWhatWasDone() async throws {
            try await withTestDatabase { client in
                try await SQLHandling(client).register()
                try await client.run("SELECT millrace.stop_handler('h', 'paused', 'why not')")
                #expect(try await client.texts(Self.acts).isEmpty)
                try await client.beginLedger()
                struct GivenUp: Error {}
                await #expect(throws: GivenUp.self) {
                    try await client.withTransaction { transaction in
                        try await transaction.run("SELECT millrace.resume_handler('h')")
                        throw GivenUp()
                    }
                }
                #expect(try await client.texts(Self.acts).count == 1)
            }
        }

        @Test("is no event that an inline projection would have to write")
        func besideInlineProjections() async throws {
            try await withTestDatabase { client in
                try await SQLHandling(client).register()
                try await client.run(
                    "SELECT millrace.register_projection('notes', 1, 'CREATE TABLE notes (id int)', '{public.note}', p_mode => 'inline')"
                )
                #expect(try await client.text("SELECT millrace.swap_projection('notes', 1, 0, false)") == nil)
                try await client.beginLedger()
                try await client.run("SELECT millrace.stop_handler('h', 'paused', 'why not')")
                #expect(try await client.texts(Self.acts).count == 2)
                try await expectRefusal("MR027", "notes") {
                    try await client.run("SELECT millrace.publish_event('made', '1', 'account', '{}')")
                }
            }
        }
    }
}
