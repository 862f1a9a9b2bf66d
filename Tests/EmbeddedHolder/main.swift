// A process of its own for the tests: it holds the server of a folder, kept or used, until its standard input ends.

import Logging
import MillraceEmbedded
import MillraceTesting

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

let arguments = CommandLine.arguments
guard arguments.count == 3, ["keep", "use", "test"].contains(arguments[1]) else {
    fatalError("usage: EmbeddedHolder keep|use|test FOLDER")
}
var logger = Logger(label: "holder") { StreamLogHandler.standardError(label: $0) }
logger.logLevel = .warning

var configuration = EmbeddedConfiguration(dataDirectory: arguments[2])
configuration.settings["fsync"] = "off"
do {
    let postgres =
        switch arguments[1] {
        case "keep": try await EmbeddedPostgres.start(configuration, logger: logger)
        case "use": try await EmbeddedPostgres.use(configuration, logger: logger)
        default: try await TestServer.shared().postgres
        }
    print("ready \(postgres.processID) \(postgres.dataDirectory)")
    fflush(nil)
    while readLine() != nil {}
    switch arguments[1] {
    case "keep": try await postgres.stop()
    case "use": await postgres.release()
    default: break
    }
    print("gone")
} catch {
    print("failed \(error)")
}
