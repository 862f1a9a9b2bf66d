// A process of its own for the tests: it holds the server of a folder, kept or used, until its standard input ends.

import Logging
import MillraceEmbedded

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

let arguments = CommandLine.arguments
guard arguments.count == 3, ["keep", "use"].contains(arguments[1]) else {
    fatalError("usage: EmbeddedHolder keep|use FOLDER")
}
var logger = Logger(label: "holder") { StreamLogHandler.standardError(label: $0) }
logger.logLevel = .warning

var configuration = EmbeddedConfiguration(dataDirectory: arguments[2])
configuration.settings["fsync"] = "off"
do {
    let postgres =
        arguments[1] == "keep"
        ? try await EmbeddedPostgres.start(configuration, logger: logger)
        : try await EmbeddedPostgres.use(configuration, logger: logger)
    print("ready \(postgres.processID)")
    fflush(nil)
    while readLine() != nil {}
    if arguments[1] == "keep" {
        try await postgres.stop()
    } else {
        await postgres.release()
    }
    print("gone")
} catch {
    print("failed \(error)")
}
