import Millrace

/// A JSON object on one line, built from parts that may be JSON already.
struct JSONLine {
    private var members: [String] = []

    mutating func add(_ name: String, json: JSON) { members.append("\(JSONLine.quoted(name)):\(json.text)") }
    mutating func add(_ name: String, string: String) {
        members.append("\(JSONLine.quoted(name)):\(JSONLine.quoted(string))")
    }
    mutating func add(_ name: String, number: Int64) { members.append("\(JSONLine.quoted(name)):\(number)") }
    mutating func add(_ name: String, string: String?) {
        if let string { add(name, string: string) } else { add(name, json: .null) }
    }
    mutating func add(_ name: String, number: Int64?) {
        if let number { add(name, number: number) } else { add(name, json: .null) }
    }
    mutating func add(_ name: String, seconds: Duration?) {
        if let seconds { add(name, json: JSON(seconds.seconds.fixed(3))) } else { add(name, json: .null) }
    }
    mutating func add(_ name: String, objects: [JSONLine]) {
        add(name, json: JSON("[\(objects.map(\.object).joined(separator: ","))]"))
    }
    mutating func add(_ name: String, bool: Bool) { members.append("\(JSONLine.quoted(name)):\(bool)") }

    mutating func add(_ name: String, strings: [String]) {
        members.append("\(JSONLine.quoted(name)):[\(strings.map(JSONLine.quoted).joined(separator: ","))]")
    }

    var line: String { object + "\n" }
    private var object: String { "{\(members.joined(separator: ","))}" }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
