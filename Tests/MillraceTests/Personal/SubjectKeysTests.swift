import Foundation
import MillracePostgres
import Testing

@testable import Millrace

/// What every keeper of keys promises.
@Suite("subject keys")
struct SubjectKeysTests {
    private func key(_ state: SubjectKeyState?) throws -> SubjectKey {
        guard case .known(let key) = state else { throw UnexpectedOutcome(what: "\(String(describing: state))") }
        return key
    }

    @Test(
        "a subject has one key, found by its id, whoever asks and however many at once",
        arguments: KeyKeeping.allCases
    )
    func oneKey(keeping: KeyKeeping) async throws {
        try await CustomerTest.with(keeping) { test in
            let subjects = (0..<20).map { "customer/\($0)" }
            let taken = try await withThrowingTaskGroup(
                of: [String: SubjectKeyState].self,
                returning: [[String: SubjectKeyState]].self
            ) { group in
                for number in 0..<8 {
                    // Each as a process of its own; in different orders, which must not deadlock.
                    group.addTask {
                        let mine = number.isMultiple(of: 2) ? subjects : subjects.reversed()
                        let states = try await test.keys.take(for: mine)
                        return Dictionary(uniqueKeysWithValues: zip(mine, states))
                    }
                }
                var all: [[String: SubjectKeyState]] = []
                for try await states in group { all.append(states) }
                return all
            }
            #expect(Set(taken).count == 1)
            let keys = try subjects.map { try key(taken[0][$0]) }
            #expect(Set(keys.map(\.id)).count == 20 && Set(keys.map(\.bytes)).count == 20)
            #expect(try await test.keys.read(keys.map(\.id) + [UUID()]) == keys.map { .known($0) } + [nil])
            #expect(try await test.keys.ids(of: subjects[3]) == [keys[3].id])
            #expect(try await test.keys.ids(of: "nobody") == [])
        }
    }

    @Test("names are told apart by their bytes", arguments: KeyKeeping.allCases)
    func bytes(keeping: KeyKeeping) async throws {
        try await CustomerTest.with(keeping) { test in
            let states = try await test.keys.take(for: ["customer/\u{E9}", "customer/e\u{301}"])
            #expect(try key(states[0]).id != key(states[1]).id)
        }
    }

    @Test(
        "a destroyed key is known as that, and there is no other one before somebody asks for it",
        arguments: KeyKeeping.allCases
    )
    func forgotten(keeping: KeyKeeping) async throws {
        try await CustomerTest.with(keeping) { test in
            let first = try key(await test.keys.take(for: ["a", "b"])[0])
            #expect(try await test.keys.forget("a") == [first.id])
            #expect(try await test.keys.forget("a") == [first.id])
            #expect(try await test.keys.forget("nobody") == [])
            #expect(try await test.keys.read([first.id]) == [.forgotten])
            #expect(try await test.keys.take(for: ["a"]) == [.forgotten])
            #expect(try await test.keys.ids(of: "a") == [first.id])

            try await test.keys.renew("a")
            try await test.keys.renew("a")
            try await test.keys.renew("b")
            try await test.keys.renew("nobody")
            let second = try key(await test.keys.take(for: ["a"])[0])
            #expect(second.id != first.id && second.bytes != first.bytes)
            #expect(try await test.keys.ids(of: "a") == [first.id, second.id])
            #expect(try await test.keys.read([first.id, second.id]) == [.forgotten, .known(second)])
            #expect(try await test.keys.ids(of: "b").count == 1)
            #expect(try await test.keys.ids(of: "nobody") == [])
        }
    }

    @Test("a key's bytes are nowhere where keys are kept once it is destroyed", arguments: KeyKeeping.allCases)
    func gone(keeping: KeyKeeping) async throws {
        try await CustomerTest.with(keeping) { test in
            let key = try key(await test.keys.take(for: ["a"])[0])
            func isThere() async throws -> Bool {
                switch keeping {
                case .database:
                    let hex = key.bytes.map { String(format: "%02x", $0) }.joined()
                    return try await test.client.texts("SELECT k::text FROM millrace.subject_keys AS k")
                        .contains { $0?.contains(hex) == true }
                case .folder:
                    return try FileManager.default.contentsOfDirectory(atPath: test.folder).contains { name in
                        try Data(contentsOf: URL(fileURLWithPath: test.folder + "/" + name)).range(of: Data(key.bytes))
                            != nil
                    }
                }
            }
            #expect(try await isThere())
            _ = try await test.keys.forget("a")
            #expect(try await !isThere())
        }
    }

    @Test(
        "takes that race with a destruction have the key that was destroyed, or none, and never another",
        arguments: KeyKeeping.allCases
    )
    func racing(keeping: KeyKeeping) async throws {
        try await CustomerTest.with(keeping) { test in
            for number in 0..<20 {
                let subject = "s-\(number)"
                let states = try await withThrowingTaskGroup(
                    of: SubjectKeyState?.self,
                    returning: [SubjectKeyState].self
                ) { group in
                    for _ in 0..<3 { group.addTask { try await test.keys.take(for: [subject])[0] } }
                    group.addTask {
                        _ = try await test.keys.forget(subject)
                        return nil
                    }
                    var states: [SubjectKeyState] = []
                    for try await case let state? in group { states.append(state) }
                    return states
                }
                let given = Set(try states.filter { $0 != .forgotten }.map { try key($0).id })
                let all = try await test.keys.ids(of: subject)
                #expect(all.count == 1 && given.isSubset(of: all))
            }
        }
    }

    @Test("files are their owner's only, and what a killed maker left harms nobody")
    func files() async throws {
        try await CustomerTest.with(.folder) { test in
            let first = try key(await test.keys.take(for: ["a"])[0])
            for name in try FileManager.default.contentsOfDirectory(atPath: test.folder) {
                let attributes = try FileManager.default.attributesOfItem(atPath: test.folder + "/" + name)
                #expect(attributes[.posixPermissions] as? Int == 0o600, "\(name)")
            }
            // Killed between the tombstone and the key: it is forgotten, and finished by the next one.
            let path = test.folder + "/" + first.id.uuidString.lowercased()
            try Data().write(to: URL(fileURLWithPath: path + ".forgotten"))
            #expect(try await test.keys.read([first.id]) == [.forgotten])
            #expect(try await test.keys.take(for: ["a"]) == [.forgotten])
            _ = try await test.keys.forget("a")
            #expect(!FileManager.default.fileExists(atPath: path + ".key"))
            // Killed between a key and its list.
            let orphan = UUID().uuidString.lowercased()
            try Data(count: 32).write(to: URL(fileURLWithPath: "\(test.folder)/\(orphan).key"))
            _ = try key(await test.keys.take(for: ["b"])[0])
            // A damaged one is an error, and no other key is made in its place.
            let second = try key(await test.keys.take(for: ["c"])[0])
            let damaged = "\(test.folder)/\(second.id.uuidString.lowercased()).key"
            try Data(count: 5).write(to: URL(fileURLWithPath: damaged))
            await #expect(throws: PersonalDataError.self) { _ = try await test.keys.take(for: ["c"]) }
            try FileManager.default.removeItem(atPath: damaged)
            await #expect(throws: PersonalDataError.self) { _ = try await test.keys.take(for: ["c"]) }
        }
    }
}
