import Foundation
import Millrace
import MillracePostgres
import MillraceTesting
import Testing

@testable import Bank

@Suite("the bank example")
struct BankTests {
    private static let opened = AccountEvent.opened(AccountOpened(owner: "c-7"))
    private static let paidIn = AccountEvent.paidIn(PaidIn(cents: 100))

    @Test("nobody takes more than there is")
    func neverBelowZero() throws {
        try Account().given(BankTests.opened, BankTests.paidIn).when(.debit(cents: 101, transfer: "t-1"))
            .thenThrows(AccountRefusal.insufficient(balance: 100))
        try Account().given(BankTests.opened, BankTests.paidIn).when(.debit(cents: 100, transfer: "t-1"))
            .then(.debited(Debited(transfer: "t-1", cents: 100)))
            .thenState { $0.balance == 0 }
    }

    @Test("a closed account takes nothing but what was its own")
    func closed() throws {
        let closed = [BankTests.opened, .closed(AccountClosed())]
        try Account().given(closed).when(.credit(cents: 1, transfer: "t-1")).thenThrows(AccountRefusal.closed)
        try Account().given(closed).when(.refund(cents: 1, transfer: "t-1"))
            .then(.refunded(Refunded(transfer: "t-1", cents: 1)))
    }

    @Test("an account with money in it is not closed")
    func notEmpty() throws {
        try Account().given(BankTests.opened, BankTests.paidIn).when(.close)
            .thenThrows(AccountRefusal.notEmpty(balance: 100))
    }

    @Test("a transfer neither completes before its credit nor fails after its debit without a refund")
    func steps() throws {
        let requested = TransferEvent.requested(TransferRequested(source: "a", target: "b", cents: 5))
        let debited = [requested, .debited(SourceDebited())]
        try Transfer().given(debited).when(.complete).thenThrows(TransferRefusal(step: .debited))
        try Transfer().given(debited).when(.fail(reason: "no")).thenThrows(TransferRefusal(step: .debited))
        try Transfer().given(debited + [.refused(CreditRefused(reason: "no")), .refunded(SourceRefunded())])
            .when(.fail(reason: "no")).then(.failed(TransferFailed(reason: "no")))
    }

    @Test("the money of a transfer that is refused comes back")
    func compensates() async throws {
        try await withTestStore { store in
            let accounts = store.aggregate(Account())
            for id in ["a", "b"] { try await accounts.execute(.open(owner: id), on: id) }
            try await accounts.execute(.payIn(cents: 100), on: "a")
            try await accounts.execute(.close, on: "b")
            let transfers = store.aggregate(Transfer())
            try await transfers.execute(.request(source: "a", target: "b", cents: 30), on: "t")
            let report = try await store.handleEverything(with: TransferProcess.handler)
            // Requested, debited, refused, refunded, failed.
            #expect(report.processed == 5 && report.parked.isEmpty)
            #expect(try await accounts.load("a").state.balance == 100)
            #expect(try await accounts.load("b").state.balance == 0)
            #expect(try await transfers.load("t").state.step == .failed)
        }
    }
}
