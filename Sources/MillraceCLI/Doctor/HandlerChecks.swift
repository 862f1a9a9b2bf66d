import Millrace
import MillracePostgres

/// Looks at the handlers of a store.
struct HandlerChecks {
    private struct Facts {
        let name: String
        let isSQL: Bool
        let state: String
        let reason: String?
        let since: Duration
        let lanes: Int
        let workers: Int
        let lanesLeased: Int
        let pending: EventCountText
        let lag: Duration
        let parked: Int64
        let waiting: Int64
        let setAside: Int64
        let parkedLimit: Int64

        struct EventCountText {
            let isNone: Bool
            let text: String
        }

        init(_ row: PostgresRow) throws {
            name = try row.decode(String.self, named: "handler_id")
            isSQL = try row.decode(String.self, named: "kind") == "sql"
            state = try row.decode(String.self, named: "state")
            reason = try row.decode(String?.self, named: "state_reason")
            since = .seconds(try row.decode(Double.self, named: "seconds"))
            lanes = try row.decode(Int.self, named: "lanes")
            workers = try row.decode(Int.self, named: "workers")
            lanesLeased = try row.decode(Int.self, named: "lanes_leased")
            let events = try row.decode(Int64.self, named: "pending")
            let isExact = try row.decode(Bool.self, named: "is_exact")
            pending = EventCountText(isNone: events == 0 && isExact, text: events.grouped + (isExact ? "" : "+"))
            lag = .seconds(try row.decode(Double.self, named: "lag"))
            parked = try row.decode(Int64.self, named: "parked")
            waiting = try row.decode(Int64.self, named: "waiting")
            setAside = try row.decode(Int64.self, named: "set_aside")
            parkedLimit = try row.decode(Int64.self, named: "parked_limit")
        }

        /// As a shell reads it.
        var argument: String { name.shellWord }
    }

    let client: PostgresClient
    /// How long events may be pending unremarked.
    let patience: Duration

    func run() async throws -> [Check] {
        let handlers = try await client.query(.embedded(PackageResources.doctor_handlers_sql)).map { try Facts($0) }
        return states(handlers) + parked(handlers) + lanes(handlers) + (try await checkpoints())
    }

    private func states(_ handlers: [Facts]) -> [Check] {
        let name = "handlers"
        let idle = handlers.filter { $0.state != "active" }
        if idle.isEmpty { return [.ok(name, handlers.isEmpty ? "none" : "\(handlers.count), all of them active")] }
        return idle.map { handler in
            let reason = handler.reason.map { ": \($0.printable)" } ?? ""
            let finding =
                "\(handler.name.printable) is \(handler.state) for \(handler.since.brief)\(reason); "
                + "\(handler.pending.text) events are pending"
            return handler.state == "stopped"
                ? .failed(name, finding, "mend the cause, then: millrace resume \(handler.argument)")
                : .warning(name, finding, "when it may go on: millrace resume \(handler.argument)")
        }
    }

    private func parked(_ handlers: [Facts]) -> [Check] {
        let name = "parked events"
        let concerned = handlers.filter { $0.parked > 0 || $0.setAside * 2 > $0.parkedLimit }
        if concerned.isEmpty { return [.ok(name, "none")] }
        return concerned.map { handler in
            let streams = "\(handler.parked.grouped) \(handler.parked == 1 ? "stream waits" : "streams wait")"
            var finding =
                "\(streams) for somebody in \(handler.name.printable), with \(handler.waiting.grouped) events behind"
            if handler.setAside * 2 > handler.parkedLimit {
                finding +=
                    "; \(handler.setAside.grouped) of the \(handler.parkedLimit.grouped) that stop it are set aside"
            }
            return .warning(
                name,
                finding,
                "millrace parked list --handler \(handler.argument), then millrace parked retry, edit or discard"
            )
        }
    }

    /// A lane changes hands within seconds: only where events have been pending for a while does nobody come.
    private func lanes(_ handlers: [Facts]) -> [Check] {
        let name = "lanes"
        let waiting = handlers.filter {
            $0.state == "active" && $0.lanesLeased < $0.lanes && !$0.pending.isNone && $0.lag >= patience
        }
        if waiting.isEmpty { return [.ok(name, "events are handled wherever some are pending")] }
        return waiting.map { handler in
            let left = handler.lanes - handler.lanesLeased
            let finding =
                "nobody works on \(left.grouped) of the \(handler.lanes.grouped) lanes of \(handler.name.printable); "
                + "\(handler.pending.text) events are pending, the oldest for \(handler.lag.brief)"
            let remedy =
                handler.isSQL
                ? "run the daemon, or schedule millrace.run_sql_handlers()"
                : "start a process that has this handler; millrace handlers show \(handler.argument)"
            return handler.workers == 0 ? .failed(name, finding, remedy) : .warning(name, finding, remedy)
        }
    }

    private func checkpoints() async throws -> [Check] {
        let name = "checkpoints"
        let rows = try await client.query(.embedded(PackageResources.doctor_checkpoints_sql))
        if rows.isEmpty { return [.ok(name, "none lies behind the end of the log")] }
        return try rows.map { row in
            let handler = try row.decode(String.self, named: "handler_id")
            let checkpoint = try row.decode(Int64.self, named: "checkpoint")
            let end = try row.decode(Int64.self, named: "log_end")
            return .failed(
                name,
                "\(handler.printable) has handled up to \(checkpoint.grouped), and the log ends at \(end.grouped): it was restored, "
                    + "and what comes next would be taken for handled",
                "pause it, settle which effects are to be handled again, then: millrace reset \(handler.shellWord) --to end"
            )
        }
    }
}

extension String {
    /// As a shell reads it as one word.
    var shellWord: String {
        let isPlain =
            !isEmpty
            && unicodeScalars.allSatisfy { scalar in
                scalar.isASCII
                    && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil
                        || "._-/:".unicodeScalars.contains(scalar))
            }
        return isPlain ? self : "'" + printable.replacing("'", with: "'\\''") + "'"
    }
}
