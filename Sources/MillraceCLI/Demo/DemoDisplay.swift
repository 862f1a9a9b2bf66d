/// The run as it goes: a table redrawn in place for people at a terminal, a line a second for a log.
struct DemoDisplay {
    static let redraw = Duration.milliseconds(200)
    private static let line = Duration.seconds(1)

    let progress: DemoProgress
    private let isShown: Bool
    let terminal = Terminal.output
    private let began = ContinuousClock.now
    private var linesDrawn = 0
    private var last: (published: Int, instant: ContinuousClock.Instant)

    init(progress: DemoProgress, isShown: Bool) {
        self.progress = progress
        self.isShown = isShown
        last = (0, began)
    }

    var beat: Duration { terminal.isInteractive ? DemoDisplay.redraw : DemoDisplay.line }

    mutating func show() throws {
        guard isShown else { return }
        let now = ContinuousClock.now
        let snapshot = progress.snapshot
        let rate = Double(snapshot.published - last.published) / max((now - last.instant).seconds, 0.001)
        last = (snapshot.published, now)
        try terminal.isInteractive ? redraw(snapshot, rate, now) : writeLine(snapshot, rate, now)
    }

    private mutating func redraw(_ snapshot: DemoProgress.Snapshot, _ rate: Double, _ now: ContinuousClock.Instant)
        throws
    {
        var table = Table([
            ("consumer", .left), ("handled", .right), ("lag", .right), ("p50", .right), ("p99", .right),
        ])
        for consumer in OrderConsumer.allCases {
            let state = snapshot.consumers[consumer]
            table.add([
                consumer.rawValue,
                snapshot.handled(by: consumer).grouped,
                max(0, snapshot.published - snapshot.handled(by: consumer)).grouped,
                state?.latency(50).brief ?? "–",
                state?.latency(99).brief ?? "–",
            ])
        }
        let head =
            terminal.styled("published \(snapshot.published.grouped)", .bold, .green)
            + terminal.styled("  \(Int(rate).grouped) events/s  \((now - began).brief)", .dim)
        let text = head + "\n\n" + table.rendered(for: terminal)
        let back = linesDrawn > 0 ? "\u{1B}[\(linesDrawn)A" : ""
        try terminal.write(
            back + text.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\u{1B}[K\n")
        )
        linesDrawn = text.count { $0 == "\n" }
    }

    private func writeLine(_ snapshot: DemoProgress.Snapshot, _ rate: Double, _ now: ContinuousClock.Instant) throws {
        let consumers = OrderConsumer.allCases.map { consumer in
            let state = snapshot.consumers[consumer]
            let lag = max(0, snapshot.published - snapshot.handled(by: consumer))
            let latency = state.map { " p50 \($0.latency(50).brief) p99 \($0.latency(99).brief)" } ?? ""
            return "\(consumer.rawValue) handled \(snapshot.handled(by: consumer).grouped) lag \(lag.grouped)\(latency)"
        }
        try terminal.write(
            "\((now - began).brief): published \(snapshot.published.grouped) (\(Int(rate).grouped)/s); "
                + consumers.joined(separator: "; ") + "\n"
        )
    }
}
