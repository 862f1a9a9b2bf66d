import Foundation
import Testing

@Suite("Output")
struct TerminalTests {
    @Test(
        "that cannot be written is a failure with one sentence",
        .enabled(if: FileManager.default.fileExists(atPath: "/dev/full"), "this system has no /dev/full"),
        arguments: [["read"], ["read", "--json"], ["stats"], ["publish", "order.created", "order", "1"]]
    )
    func fullDisk(arguments: [String]) async throws {
        try await CommandTest.with { test in
            #expect(try await test.command.run(["publish", "order.created", "order", "42"]).status == 0)
            let lost = try await test.command.shell("%  > /dev/full", arguments)
            #expect(lost.status == 1)
            #expect(lost.error == "millrace: standard output cannot be written: No space left on device\n")
        }
    }

    @Test("into a pipe nobody reads from any more ends the program, also where the signal of it is ignored")
    func closedPipe() async throws {
        try await CommandTest.with { test in
            for number in 1...3 {
                #expect(try await test.command.run(["publish", "order.created", "order", "\(number)"]).status == 0)
            }
            // The pipe has lost its reader before the program begins; following the log, only its output can end it.
            let ignoring = "trap '' PIPE; { while echo; do :; done 2> /dev/null; %; echo status $? >&2; } | :"
            let ended = try await test.command.shell(ignoring, ["tail", "--from", "start"])
            #expect(ended.status == 0)
            #expect(ended.error == "status 141\n")
        }
    }
}
