/// For what cannot simply be taken back: a person at a terminal is asked, a script has to say so beforehand.
struct Confirmation {
    /// What --yes says.
    let isGiven: Bool
    /// What shows beforehand what it would be.
    var look = "--dry-run"

    /// Returns when it may be done.
    ///
    /// - Parameter what: one or more sentences, with what will happen.
    func obtain(for what: String) async throws {
        if isGiven { return }
        guard ImportInput.standardInput.isTerminal, Terminal.error.isInteractive else {
            throw Failure(.usage, "nothing was changed: look at it with \(look), and do it with --yes")
        }
        Terminal.error.say("\(what)\nGo on? Type yes: ")
        let answer = String(decoding: try await ImportInput.standardInput.read(), as: UTF8.self)
        guard answer.drop(while: \.isWhitespace).prefix(while: { !$0.isWhitespace }) == "yes" else {
            throw Failure(.failed, "nothing was changed")
        }
    }
}
