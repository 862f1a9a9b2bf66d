import Metrics

/// A handler's metrics in this process, through swift-metrics: whatever backend the program has set up.
///
/// - `millrace_handler_events_total{handler, outcome}`: processed or failed
/// - `millrace_handler_transactions{handler}`: how long a lane's transactions take
/// - `millrace_handler_lanes{handler}`: lanes that this process has
/// - `millrace_handler_position{handler}`: how far the slowest of them is
struct HandlerMeter: Sendable {
    private let processed: Counter
    private let failed: Counter
    private let transactions: Metrics.Timer
    private let lanes: Gauge
    private let position: Gauge

    init(_ handler: String) {
        let name = ("handler", handler)
        processed = Counter(label: "millrace_handler_events_total", dimensions: [name, ("outcome", "processed")])
        failed = Counter(label: "millrace_handler_events_total", dimensions: [name, ("outcome", "failed")])
        transactions = Metrics.Timer(label: "millrace_handler_transactions", dimensions: [name])
        lanes = Gauge(label: "millrace_handler_lanes", dimensions: [name])
        position = Gauge(label: "millrace_handler_position", dimensions: [name])
    }

    func settled(events: Int, failed count: Int, in time: Duration) {
        processed.increment(by: events)
        if count > 0 { failed.increment(by: count) }
        transactions.recordMicroseconds(time.microseconds)
    }

    func holds(_ count: Int, slowestAt slowest: Position?) {
        lanes.record(count)
        if let slowest { position.record(slowest.rawValue) }
    }
}
