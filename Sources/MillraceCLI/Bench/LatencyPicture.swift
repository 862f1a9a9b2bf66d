#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The distribution of latencies as an SVG: percentiles against time, both on scales where each step is ten times the last, so that
/// the slowest one in ten thousand is as easy to see as the median. Readable on light and dark ground.
struct LatencyPicture {
    /// More lines than this cannot be told apart.
    static let mostSeries = 8

    struct Series: Equatable {
        let name: String
        let isBare: Bool
        let curve: [LatencySummary.Point]
    }

    let title: String
    let subtitle: String
    let series: [Series]

    private static let width = 960.0
    private static let height = 560.0
    private static let left = 84.0
    private static let right = 28.0
    private static let top = 76.0
    private static let legendLine = 20.0
    /// Told apart without red beside green, on white and on black.
    private static let colours = [
        "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8f7ee6", "#8c8c8c",
    ]
    private static let ticks: [Double] = [0, 50, 90, 99, 99.9, 99.99, 99.999]

    var svg: String {
        let rows = (series.count + 1) / 2
        let bottom = 62 + Double(rows) * LatencyPicture.legendLine
        let plot = Plot(series, top: LatencyPicture.top, bottom: LatencyPicture.height - bottom)
        var parts = [head]
        parts += grid(plot)
        for (index, line) in series.enumerated() { parts.append(curve(line, index, plot)) }
        for (index, line) in series.enumerated() { parts.append(legend(line, index, plot)) }
        return parts.joined(separator: "\n") + "\n</svg>\n"
    }

    /// Where values lie in the picture.
    private struct Plot {
        let top: Double
        let bottom: Double
        /// Powers of ten, in microseconds.
        let lowest: Int
        let highest: Int
        let nines: Double

        init(_ series: [Series], top: Double, bottom: Double) {
            self.top = top
            self.bottom = bottom
            let times = series.flatMap { $0.curve.map(\.microseconds) }.filter { $0 > 0 }
            lowest = Plot.decade(times.min() ?? 1)
            highest = max(lowest + 1, Plot.decade((times.max() ?? 1) * 0.999_999) + 1)
            let furthest = series.flatMap { $0.curve.map(\.percentile) }.filter { $0 < 100 }.max() ?? 99
            // A little further than the last that is known.
            nines = max(2, Plot.nines(furthest)) + 0.3
        }

        private static func decade(_ value: Double) -> Int {
            var (decade, bound) = (0, 10.0)
            while bound <= value {
                bound *= 10
                decade += 1
            }
            return decade
        }

        static func nines(_ percentile: Double) -> Double { -log10(1 - percentile / 100) }

        func x(_ percentile: Double) -> Double {
            let nines = percentile >= 100 ? nines : Plot.nines(percentile)
            return LatencyPicture.left + min(nines / self.nines, 1)
                * (LatencyPicture.width - LatencyPicture.left - LatencyPicture.right)
        }

        func y(_ microseconds: Double) -> Double {
            let share = (log10(max(1, microseconds)) - Double(lowest)) / Double(highest - lowest)
            return bottom - max(0, share) * (bottom - top)
        }
    }

    private var head: String {
        let (width, height) = (Int(LatencyPicture.width), Int(LatencyPicture.height))
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" role="img" font-family="system-ui, \
            -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="13">
            <title>\(title.xmlEscaped)</title>
            <style>
            .ground { fill: #ffffff } .ink { fill: #1b1f24 } .soft { fill: #57606a } .line { stroke: #d0d7de } .faint { stroke: #eaeef2 }
            @media (prefers-color-scheme: dark) {
            .ground { fill: #0d1117 } .ink { fill: #e6edf3 } .soft { fill: #9aa4af } .line { stroke: #3d444d } .faint { stroke: #21262d }
            }
            </style>
            <rect class="ground" width="\(width)" height="\(height)"/>
            <text class="ink" x="\(Int(LatencyPicture.left))" y="32" font-size="18" font-weight="600">\(title.xmlEscaped)</text>
            <text class="soft" x="\(Int(LatencyPicture.left))" y="54">\(subtitle.xmlEscaped)</text>
            """
    }

    private func grid(_ plot: Plot) -> [String] {
        var parts: [String] = []
        let (left, right) = (LatencyPicture.left, LatencyPicture.width - LatencyPicture.right)
        for decade in plot.lowest...plot.highest {
            let value = power(decade)
            let y = plot.y(value).fixed(1)
            parts.append(
                "<line class=\"line\" x1=\"\(left.fixed(1))\" x2=\"\(right.fixed(1))\" y1=\"\(y)\" y2=\"\(y)\"/>"
            )
            parts.append(
                "<text class=\"soft\" x=\"\((left - 10).fixed(1))\" y=\"\((plot.y(value) + 4).fixed(1))\" text-anchor=\"end\">"
                    + "\(LatencyPicture.time(value))</text>"
            )
            guard decade < plot.highest else { break }
            for step in 2...9 {
                let y = plot.y(value * Double(step)).fixed(1)
                parts.append(
                    "<line class=\"faint\" x1=\"\(left.fixed(1))\" x2=\"\(right.fixed(1))\" y1=\"\(y)\" y2=\"\(y)\"/>"
                )
            }
        }
        for tick in LatencyPicture.ticks where Plot.nines(tick) <= plot.nines {
            let x = plot.x(tick).fixed(1)
            parts.append(
                "<line class=\"line\" x1=\"\(x)\" x2=\"\(x)\" y1=\"\(plot.top.fixed(1))\" y2=\"\(plot.bottom.fixed(1))\"/>"
            )
            let label = tick == 0 ? "fastest" : tick == tick.rounded() ? "\(Int(tick)) %" : "\(tick) %"
            parts.append(
                "<text class=\"soft\" x=\"\(x)\" y=\"\((plot.bottom + 20).fixed(1))\" text-anchor=\"middle\">\(label)</text>"
            )
        }
        let middle = ((left + right) / 2).fixed(1)
        let side = ((plot.top + plot.bottom) / 2).fixed(1)
        parts.append(
            "<text class=\"soft\" x=\"\(middle)\" y=\"\((plot.bottom + 42).fixed(1))\" text-anchor=\"middle\">"
                + "share of the events that took no longer (percentile)</text>"
        )
        parts.append(
            "<text class=\"soft\" transform=\"translate(22 \(side)) rotate(-90)\" text-anchor=\"middle\">latency</text>"
        )
        return parts
    }

    private func curve(_ line: Series, _ index: Int, _ plot: Plot) -> String {
        let points = line.curve.map { "\(plot.x($0.percentile).fixed(1)),\(plot.y($0.microseconds).fixed(1))" }
        let dashes = line.isBare ? " stroke-dasharray=\"6 4\"" : ""
        return "<polyline fill=\"none\" stroke=\"\(LatencyPicture.colours[index % LatencyPicture.colours.count])\" "
            + "stroke-width=\"2.2\" stroke-linejoin=\"round\"\(dashes) points=\"\(points.joined(separator: " "))\"/>"
    }

    private func legend(_ line: Series, _ index: Int, _ plot: Plot) -> String {
        let column = (LatencyPicture.width - LatencyPicture.left - LatencyPicture.right) / 2
        let x = LatencyPicture.left + Double(index % 2) * column
        let y = plot.bottom + 66 + Double(index / 2) * LatencyPicture.legendLine
        let colour = LatencyPicture.colours[index % LatencyPicture.colours.count]
        let dashes = line.isBare ? " stroke-dasharray=\"6 4\"" : ""
        return
            "<line x1=\"\(x.fixed(1))\" x2=\"\((x + 26).fixed(1))\" y1=\"\((y - 4).fixed(1))\" y2=\"\((y - 4).fixed(1))\" "
            + "stroke=\"\(colour)\" stroke-width=\"2.2\"\(dashes)/>"
            + "<text class=\"ink\" x=\"\((x + 34).fixed(1))\" y=\"\(y.fixed(1))\">\(line.name.xmlEscaped)</text>"
    }

    private static func time(_ microseconds: Double) -> String {
        switch microseconds {
        case ..<1000: "\(Int(microseconds)) µs"
        case ..<1_000_000: "\(Int(microseconds / 1000)) ms"
        default: "\(Int(microseconds / 1_000_000)) s"
        }
    }
}

extension LatencyPicture {
    /// The latencies of a report that belong in one picture: those from the due time, then a single caller's and the largest
    /// crowd's, each beside the plain statement it is compared with.
    init(_ report: BenchReport) {
        func contests(_ scenario: BenchScenario) -> [ContestResult] {
            report.contests.filter { $0.scenario == scenario.rawValue }
        }
        var series: [Series] = []
        for contest in contests(.latency) {
            series += contest.entries.filter { LatencyScenario.pictured.contains($0.name) }
                .compactMap { Series($0, name: "\($0.name) (\(contest.title))") }
        }
        let callers = contests(.callers)
        for contest in callers.count > 2 ? [callers[0], callers[callers.count - 1]] : callers {
            let entries = contest.entries.enumerated().filter { $0.offset == 0 || $0.element.kind == .millrace }
            series += entries.compactMap { Series($0.element, name: $0.element.name) }
        }
        self.init(
            title: "How long an event takes",
            subtitle: "Millrace \(report.millrace) on PostgreSQL \(report.server.version), every commit durable, "
                + "\(report.machine.processors) processors; dashed: PostgreSQL without Millrace",
            series: Array(series.prefix(LatencyPicture.mostSeries))
        )
    }
}

extension LatencyPicture.Series {
    /// nil where nothing was timed.
    fileprivate init?(_ entry: ContestResult.Entry, name: String) {
        guard let latency = entry.latency else { return nil }
        // The slowest of so many stands where it is the only one beyond; there the line ends.
        let last = 100 - 100 / Double(latency.count)
        let curve = latency.curve.map { point in
            LatencySummary.Point(percentile: min(point.percentile, last), microseconds: point.microseconds)
        }
        self.init(name: name, isBare: entry.kind == .bare, curve: curve)
    }
}

private func power(_ decade: Int) -> Double { (0..<decade).reduce(1.0) { value, _ in value * 10 } }

extension String {
    fileprivate var xmlEscaped: String {
        reduce(into: "") { text, character in
            switch character {
            case "&": text += "&amp;"
            case "<": text += "&lt;"
            case ">": text += "&gt;"
            case "\"": text += "&quot;"
            default: text.append(character)
            }
        }
    }
}
