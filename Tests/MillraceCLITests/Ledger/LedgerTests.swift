import Foundation
import MillracePostgres
import Testing

@Suite("millrace ledger")
struct LedgerTests {
    private static let origin = "shop.example/ledger"

    /// A ledger with three published events, of which the first has this id, and nothing sealed.
    private static func begun(_ test: CommandTest) async throws -> (keyFile: String, key: String, event: String) {
        let file = "\(test.folder.path)/ledger.key"
        let begun = try await test.command.run(["ledger", "init", origin, "--key-file", file, "--json"])
        try #require(begun.status == 0, "\(begun.error)")
        let key = try #require(try begun.json()["verifier_key"] as? String)
        try await test.client.script(
            "SELECT millrace.publish_event('order.paid', n::text, 'order', '{\"cents\": 100}') FROM generate_series(1, 3) AS n"
        )
        let event = try await test.texts(
            "SELECT event_id::text FROM millrace.events WHERE aggregate_type = 'order' ORDER BY id"
        )[0]
        return (file, key, event)
    }

    @Test("makes a key that only its owner reads, once, and says how it stands")
    func begins() async throws {
        try await CommandTest.with { test in
            let none = try await test.command.run(["ledger"])
            #expect(none.status == 0 && none.output.hasPrefix("No ledger"))
            let (file, key, _) = try await Self.begun(test)
            let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
            #expect(mode == 0o600)
            #expect(key.hasPrefix(Self.origin + "+"))
            let again = try await test.command.run(["ledger", "init", Self.origin, "--key-file", file])
            #expect(again.status == 1 && again.error.contains("keeps a ledger already"))
            let status = try await test.command.run(["ledger", "status", "--json"]).json()
            #expect(status["unsealed"] as? Int == 4 && status["blocks"] as? Int == 0)
            #expect(status["seal_interval_seconds"] as? Double == 1)
        }
    }

    @Test("a proof is checked without a database, with the right key only, and only as it was written")
    func proves() async throws {
        try await CommandTest.with { test in
            let (file, key, event) = try await Self.begun(test)
            let early = try await test.command.run(["ledger", "prove", event])
            #expect(early.status == 1 && early.error.contains("not sealed yet"))
            let published = "\(test.folder.path)/checkpoints"
            let seal = ["ledger", "seal", "--key-file", file, "--publish-checkpoints", "file:\(published)", "--json"]
            #expect(try await test.command.run(seal).json()["events"] as? Int == 4)
            let proof = "\(test.folder.path)/event.proof"
            let proven = try await test.command.run(["ledger", "prove", event, "--out", proof])
            #expect(proven.status == 0, "\(proven.error)")

            func check(_ path: String, _ key: String) async throws -> Command.Result {
                try await Running(
                    Command.program,
                    ["ledger", "verify-proof", path, "--key", key, "--json"],
                    nil,
                    test.folder
                ).result()
            }
            let found = try await check(proof, key).json()
            #expect(found["event_id"] as? String == event && found["tree_size"] as? Int == 4)
            #expect((found["event_data"] as? [String: Any])?["cents"] as? Int == 100)

            let otherFile = "\(test.folder.path)/other.key"
            let made = try await test.command.shell("% ", ["ledger", "keys"])
            #expect(made.status == 0 && made.output.contains(key))
            let other = try await Running(
                Command.program,
                ["ledger", "keys", "generate", Self.origin, "--key-file", otherFile],
                nil,
                test.folder
            ).result()
            #expect(other.status == 0, "\(other.error)")
            let foreign = try await check(proof, other.output.trimmingCharacters(in: .whitespacesAndNewlines))
            #expect(foreign.status == 6, "\(foreign.error)")
            let text = try String(contentsOfFile: proof, encoding: .utf8)
            let changed = try test.folder.file(
                named: "changed",
                text: text.replacingOccurrences(of: "index 1", with: "index 2")
            )
            #expect(try await check(changed, key).status == 6)

            try await test.client.script("SELECT millrace.publish_event('order.paid', '9', 'order', '{}')")
            #expect(try await test.command.run(seal).status == 0)
            let grown = "\(test.folder.path)/grown.proof"
            // The first of two checkpoints.
            let notes = try String(contentsOfFile: published, encoding: .utf8).components(separatedBy: "\n\n")
            let first = try test.folder.file(named: "first", text: notes[0] + "\n\n" + notes[1] + "\n")
            let consistency = try await test.command.run(["ledger", "prove-consistency", first, "--out", grown])
            #expect(consistency.status == 0, "\(consistency.error)")
            let continued = try await check(grown, key).json()
            #expect(continued["earlier_tree_size"] as? Int == 4 && continued["tree_size"] as? Int == 5)
        }
    }

    @Test("a rotated key is the one that seals")
    func rotates() async throws {
        try await CommandTest.with { test in
            let (file, key, _) = try await Self.begun(test)
            let newFile = "\(test.folder.path)/new.key"
            let rotated = try await test.command.run(
                [
                    "ledger", "keys", "rotate", "--key-file", file, "--new-key-file", newFile, "--reason", "yearly",
                    "--json",
                ]
            )
            #expect(try rotated.json()["number"] as? Int == 2, "\(rotated.error)")
            let refused = try await test.command.run(["ledger", "seal", "--key-file", file])
            #expect(refused.status == 1 && refused.error.contains("not the ledger's newest"))
            #expect(try await test.command.run(["ledger", "seal", "--key-file", newFile]).status == 0)
            let keyring = try await test.command.run(["ledger", "keys", "list", "--keyring"])
            #expect(keyring.output.hasPrefix(key + "\n"))
        }
    }

    @Test("the daemon seals and publishes by itself")
    func works() async throws {
        try await CommandTest.with { test in
            let (file, _, event) = try await Self.begun(test)
            let published = "\(test.folder.path)/checkpoints"
            let daemon = try await test.command.start(
                ["work", "--ledger-key", file, "--publish-checkpoints", "file:\(published)"]
            )
            try await eventually("it is published") {
                try await test.number("SELECT count(*) FROM millrace.ledger_publications WHERE block_number >= 1") == 1
            }
            daemon.interrupt()
            #expect(try await daemon.result().status == 0)
            #expect(try await test.command.run(["ledger", "prove", event]).status == 0)
        }
    }
}
