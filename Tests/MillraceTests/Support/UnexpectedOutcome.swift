/// Something a test cannot go on from.
struct UnexpectedOutcome: Error, CustomStringConvertible {
    let what: String
    var description: String { "unexpected: \(what)" }
}
