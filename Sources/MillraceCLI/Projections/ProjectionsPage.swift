import Millrace

/// All generations at a moment, and what happened since the look before.
struct ProjectionsPage {
    private let generations: [ProjectionStatus]
    private let time = ContinuousClock.now
    /// Events a second, by handler; nil: this is the first look.
    private let rates: [String: Double]?

    init(_ generations: [ProjectionStatus], since last: ProjectionsPage? = nil) {
        self.generations = generations
        guard let last else {
            rates = nil
            return
        }
        let seconds = max((time - last.time).seconds, 0.001)
        var rates: [String: Double] = [:]
        for generation in generations {
            let before = last.generations.first { $0.handler == generation.handler }
            guard let before = before?.processed, let now = generation.processed else { continue }
            rates[generation.handler] = Double(max(0, now - before)) / seconds
        }
        self.rates = rates
    }

    func text(for terminal: Terminal) -> String {
        if generations.isEmpty {
            return "There is no projection: its first worker registers it, or millrace.register_projection.\n"
        }
        var names: [String] = []
        for generation in generations where names.last != generation.projection { names.append(generation.projection) }
        return names.map { name in section(generations.filter { $0.projection == name }, terminal) }
            .joined(separator: "\n")
    }

    /// A projection: its name, its generations, and what there is to say of them.
    private func section(_ generations: [ProjectionStatus], _ terminal: Terminal) -> String {
        guard let first = generations.first else { return "" }
        let head = "\(first.projection), \(first.mode.rawValue), in \(first.publishedIn.printable)"
        var columns: [(String, Table.Alignment)] = [
            ("gen", .right), ("ver", .right), ("state", .left), ("built", .right), ("pending", .right),
            ("waiting", .right), ("size", .right), ("workers", .right),
        ]
        if rates != nil { columns.append(("events/s", .right)) }
        var table = Table(columns)
        for generation in generations {
            var row = [
                "\(generation.generation)", "\(generation.version)", generation.stateText, generation.shareText,
                // What is kept does not follow.
                generation.state == .kept ? "" : generation.pending?.text ?? "",
                generation.waitingStreams.grouped, generation.bytes.bytes, generation.workers.grouped,
            ]
            if let rates { row.append(rates[generation.handler].map { Int($0.rounded()).grouped } ?? "") }
            table.add(row)
        }
        return terminal.styled(head, .bold) + "\n" + table.rendered(for: terminal)
            + generations.flatMap { remarks($0, terminal) }.map { $0 + "\n" }.joined()
    }

    private func remarks(_ generation: ProjectionStatus, _ terminal: Terminal) -> [String] {
        var remarks: [String] = []
        let name = "generation \(generation.generation)"
        if let remark = generation.handlerRemark {
            remarks.append(
                terminal.styled("\(name) \(remark)", generation.handlerState == .stopped ? .red : .yellow)
            )
        } else if generation.isAbandoned {
            remarks.append(terminal.styled("\(name): \(generation.nobodyText)", .yellow))
        }
        if generation.state == .building {
            if let left = timeLeft(generation) { remarks.append("\(name): \(left.brief) left") }
            if generation.purpose == .serve, !generation.swapsByItself {
                remarks.append("\(name) serves after: millrace projections swap \(generation.projection)")
            }
        }
        return remarks
    }

    private func timeLeft(_ generation: ProjectionStatus) -> Duration? {
        guard let rate = rates?[generation.handler], let pending = generation.pending, pending.isExact else {
            return nil
        }
        return ProjectionPace.timeLeft(pending: pending.events, rate: rate)
    }

    var json: String {
        generations.map { generation in
            var object = generation.jsonLine
            if let rates {
                object.add("events_per_second", json: rates[generation.handler].map { JSON($0.fixed(1)) } ?? .null)
                object.add("seconds_left", seconds: generation.state == .building ? timeLeft(generation) : nil)
            }
            return object.line
        }.joined()
    }
}

/// How fast a build is, and how long it takes at that.
enum ProjectionPace {
    /// nil: nothing happens.
    static func timeLeft(pending: Int64, rate: Double) -> Duration? {
        rate > 0 ? .seconds(Double(pending) / rate) : nil
    }
}

extension ProjectionStatus {
    var stateText: String { purpose == .verify ? "verifying" : state.rawValue }

    /// “45 %”, “≤ 45 %” where not all that is to come was counted.
    var shareText: String {
        guard let share, state != .kept else { return "" }
        return (pending?.isExact == false ? "≤ " : "") + "\(Int(share * 100)) %"
    }

    /// Whether nobody writes it who should.
    var isAbandoned: Bool {
        let isWritten = state == .building || state == .serving && mode == .behind
        return isWritten && workers == 0
    }

    /// Who has to do something where nobody does.
    var nobodyText: String {
        "nobody runs version \(version) of it; "
            + (functions == nil ? "start a process that has it" : "run the daemon (millrace up, or work)")
    }

    /// That its handler does not work although it should, and why; nil where it does, or should not.
    var handlerRemark: String? {
        guard handlerState != .active, state == .building || state == .serving && mode == .behind else { return nil }
        return "is \(handlerState.rawValue)" + (handlerReason.map { ": \($0.printable)" } ?? "")
    }

    var jsonLine: JSONLine {
        var object = JSONLine()
        object.add("projection", string: projection)
        object.add("mode", string: mode.rawValue)
        object.add("published_in", string: publishedIn)
        object.add("generation", number: Int64(generation))
        object.add("version", number: Int64(version))
        object.add("state", string: state.rawValue)
        object.add("purpose", string: purpose.rawValue)
        object.add("sample", number: Int64(sample))
        object.add("handler", string: handler)
        object.add("schema", string: schema)
        if let functions {
            object.add("functions", strings: functions)
        } else {
            object.add("functions", json: .null)
        }
        object.add("swaps_by_itself", bool: swapsByItself)
        object.add("requested_by", string: requestedBy)
        object.add("requested_at", string: requestedAt.rfc3339)
        object.add("served_at", string: servedAt?.rfc3339)
        object.add("replaced_at", string: replacedAt?.rfc3339)
        object.add("handler_state", string: handlerState.rawValue)
        object.add("reason", string: handlerReason)
        object.add("workers", number: Int64(workers))
        object.add("processed", number: processed)
        object.add("pending", number: pending?.events)
        object.add("pending_is_exact", json: pending.map { JSON("\($0.isExact)") } ?? .null)
        object.add("built", json: share.map { JSON($0.fixed(4)) } ?? .null)
        object.add("waiting_streams", number: waitingStreams)
        object.add("bytes", number: bytes)
        return object
    }
}
