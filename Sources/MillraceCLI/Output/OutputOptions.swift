import ArgumentParser

/// How results are written.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Write JSON for programs, one document a line.")
    var json = false
}
