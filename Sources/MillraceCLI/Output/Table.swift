/// Rows under headings, aligned for people.
struct Table {
    enum Alignment { case left, right }

    private let headings: [(title: String, alignment: Alignment)]
    private var rows: [[String]] = []

    init(_ headings: [(String, Alignment)]) {
        self.headings = headings.map { (title: $0.0, alignment: $0.1) }
    }

    mutating func add(_ row: [String]) {
        precondition(row.count == headings.count, "a row has as many cells as there are headings")
        rows.append(row)
    }

    func rendered(for terminal: Terminal) -> String {
        let widths = headings.indices.map { column in
            rows.reduce(headings[column].title.count) { max($0, $1[column].count) }
        }
        func line(_ cells: [String]) -> String {
            var text = ""
            for (column, cell) in cells.enumerated() {
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                let isLast = column == cells.count - 1
                switch headings[column].alignment {
                case .left: text += cell + (isLast ? "" : padding)
                case .right: text += padding + cell
                }
                if !isLast { text += "  " }
            }
            return text
        }
        let head = terminal.styled(line(headings.map(\.title)), .bold)
        return ([head] + rows.map(line)).map { $0 + "\n" }.joined()
    }
}
