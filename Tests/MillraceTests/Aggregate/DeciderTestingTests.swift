import Foundation
import Millrace
import MillraceTesting
import Testing

/// Given, when, then: what holds passes, and what does not says what was expected and what was, side by side.
@Suite("given, when, then")
struct DeciderTestingTests {
    private let account = Account()

    @Test("what the decider says holds")
    func holds() throws {
        try account.given(.opened(AccountOpened(owner: "Ada")), .deposited(Deposited(cents: 100)))
            .when(.withdraw(cents: 30))
            .then(.withdrawn(Withdrawn(cents: 30)))
            .thenState { $0.balance == 70 }
            .when(.withdraw(cents: 70))
            .then(.withdrawn(Withdrawn(cents: 70)))
            .thenState(Account.State(owner: "Ada", balance: 0, events: 4, mark: "\u{0}"))
        try account.given().when(.nothing).then()
        try account.given(.deposited(Deposited(cents: 5))).when(.withdraw(cents: 6)).thenThrows(Overdrawn(balance: 5))
        try account.given().when(.withdraw(cents: 6)).thenThrows(Overdrawn.self)
    }

    @Test("the event that differs is shown beside the one that was expected")
    func otherEvent() throws {
        let mismatch = try #require(
            throws: DeciderMismatch.self,
            performing: {
                try account.given(.deposited(Deposited(cents: 100))).when(.withdraw(cents: 30))
                    .then(.withdrawn(Withdrawn(cents: 31)), fileID: "Bank.swift", line: 7)
            }
        )
        #expect(
            mismatch.description == """
                Bank.swift:7: other events than expected
                  1. expected: account.withdrawn {"cents":31}
                     but was:  account.withdrawn {"cents":30}
                """
        )
    }

    @Test("an event that is missing, and one too many")
    func otherCount() throws {
        let missing = try #require(
            throws: DeciderMismatch.self,
            performing: { try account.given().when(.nothing).then(.deposited(Deposited(cents: 1))) }
        )
        #expect(missing.actual.isEmpty)
        #expect(missing.description.contains("but was:  nothing"))
        let extra = try #require(
            throws: DeciderMismatch.self,
            performing: { try account.given().when(.deposit(cents: 1)).then() }
        )
        #expect(extra.description.contains("expected: nothing"))
        #expect(extra.place.contains("DeciderTestingTests.swift:"))
    }

    @Test("a refusal where events were expected, and events where a refusal was")
    func refusals() throws {
        let refused = try #require(
            throws: DeciderMismatch.self,
            performing: { try account.given().when(.withdraw(cents: 1)).then(.withdrawn(Withdrawn(cents: 1))) }
        )
        #expect(refused.description.contains("was refused"))
        #expect(refused.description.contains("Overdrawn(balance: 0)"))
        let other = try #require(
            throws: DeciderMismatch.self,
            performing: { try account.given().when(.withdraw(cents: 1)).thenThrows(Overdrawn(balance: 3)) }
        )
        #expect(other.expected == ["Overdrawn(balance: 3)"])
        #expect(other.actual == ["Overdrawn(balance: 0)"])
        let accepted = try #require(
            throws: DeciderMismatch.self,
            performing: { try account.given().when(.deposit(cents: 1)).thenThrows(Overdrawn.self) }
        )
        #expect(accepted.description.contains("led to 1 event(s)"))
        let state = try #require(
            throws: DeciderMismatch.self,
            performing: { try account.given().when(.deposit(cents: 1)).thenState { $0.balance == 2 } }
        )
        #expect(state.description.contains("balance: 1"))
    }

    @Test("an event that could not be read again is found before it is stored")
    func unregistered() throws {
        let mismatch = try #require(
            throws: DeciderMismatch.self,
            performing: { try account.given().when(.forget).then(.forgotten(Forgotten())) }
        )
        #expect(mismatch.description.contains("not registered in AccountEvent.types"))
    }

    @Test("dates are compared as they are stored")
    func dates() throws {
        let now = Date(timeIntervalSinceReferenceDate: 7.123_456_7)
        try account.given().when(.open(owner: "Ada", at: now))
            .then(.opened(AccountOpened(owner: "Ada", at: Date(timeIntervalSinceReferenceDate: 7.123_1))))
            .thenState { $0.openedAt != now }
    }
}
