import Testing

@testable import MillraceCLI

@Suite("What a person sees of an import")
struct ProgressBarTests {
    private let start = ImportProgressBar.State(lines: 1_000, events: 0, bytes: 100_000)

    @Test("has rate and time left, counted from where this run began")
    func figures() {
        let state = ImportProgressBar.State(lines: 41_000, events: 40_000, bytes: 300_000)
        let text = ImportProgressBar.figures(state, since: start, elapsed: .seconds(2), size: 400_000)
        #expect(text == "41,000 lines  20,000 events/s  1.0 s left")
    }

    @Test("has the time taken where nobody knows how much is to come")
    func endless() {
        let state = ImportProgressBar.State(lines: 41_000, events: 40_000, bytes: 300_000)
        let text = ImportProgressBar.figures(state, since: start, elapsed: .seconds(2), size: nil)
        #expect(text == "41,000 lines  20,000 events/s  2.0 s")
    }
}

@Suite("Numbers for people")
struct BytesTests {
    @Test(arguments: [
        (0, "0 bytes"), (1_023, "1023 bytes"), (1_536, "1.5 KiB"), (128 << 20, "128 MiB"), (33 << 29, "16.5 GiB"),
    ])
    func bytes(value: Int, text: String) {
        #expect(value.bytes == text)
    }
}
