extension StringProtocol {
    /// Names are other people's data: control characters are shown as escapes, so that none of them moves the cursor, changes
    /// colours or begins a line of its own.
    var printable: String {
        var text = ""
        for scalar in unicodeScalars {
            if scalar.properties.generalCategory == .control {
                text += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
