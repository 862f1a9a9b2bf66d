import Foundation
import Millrace
import MillracePostgres
import Testing

@Suite("millrace forget")
struct ForgetTests {
    private static let name = NewEvent(type: "customer.registered", data: JSON(#"{"name": "Ana"}"#))

    private func names(_ store: EventStore) async throws -> [String] {
        var names: [String] = []
        for try await event in store.readAll() { names.append(event.data.text) }
        return names
    }

    @Test("says what would happen, does it with --yes only, and gives a receipt", arguments: [false, true])
    func forgets(inFolder: Bool) async throws {
        try await CommandTest.with { test in
            let folder = NSTemporaryDirectory() + "millrace-keys-" + UUID().uuidString
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let keys = inFolder ? PersonalData(keys: .inFolder(folder)) : PersonalData(keys: .inDatabase(test.client))
            func store() -> EventStore {
                EventStore(test.client, personal: keys.field("customer.registered", "name", of: .aggregate))
            }
            try await store().append([Self.name], to: StreamID("customer", "c-7"))
            let arguments =
                ["forget", "customer/c-7", "--reason", "asked"] + (inFolder ? ["--keys-folder", folder] : [])

            let plan = try await test.command.run(arguments + ["--dry-run"])
            #expect(plan.status == 0, "\(plan.error)")
            #expect(
                plan.output.contains("would be forgotten")
                    && plan.output.contains("Events redacted: 1, in the streams: customer/c-7")
            )
            #expect(try await test.command.run(arguments).status == 64)
            #expect(try await names(store()) == [#"{"name":"Ana"}"#])

            let receipt = try await test.command.run(arguments + ["--yes", "--json"])
            #expect(receipt.status == 0, "\(receipt.error)")
            let json = try receipt.json()
            #expect(json["streams"] as? [String] == ["customer/c-7"] && json["events"] as? Int == 1)
            #expect((json["key_ids"] as? [String])?.count == 1 && json["forgotten_at"] is String)
            let fresh = inFolder ? PersonalData(keys: .inFolder(folder)) : PersonalData(keys: .inDatabase(test.client))
            #expect(
                try await names(EventStore(test.client, personal: fresh)) == [#"{"name":{"$redacted":true}}"#]
            )

            let unknown = try await test.command.run(["forget", "customer/c-8", "--reason", "asked", "--yes"])
            #expect(unknown.status == 65 && unknown.error.contains("no subject"), "\(unknown.error)")
        }
    }
}
