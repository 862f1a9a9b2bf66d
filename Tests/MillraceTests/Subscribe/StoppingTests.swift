import Millrace
import MillraceTesting
import Testing

@Suite(.timeLimit(.minutes(15))) struct StoppingTests {
    private func publish(_ count: Int, to store: EventStore) async throws {
        for number in 1...count {
            try await store.append([NewEvent(type: "counted", data: JSON("\(number)"))], to: StreamID("counter", "1"))
        }
    }

    @Test func aSubscriptionCanBeFollowedAgainFromItsBeginning() async throws {
        try await withTestStore { store in
            try await publish(3, to: store)
            let pages = store.subscribeToPages(from: .start)
            for _ in 1...2 {
                var seen = 0
                for try await page in pages {
                    seen += page.events.count
                    if page.isLast { break }
                }
                #expect(seen == 3)
            }
        }
    }

    @Test func oneCancelledFollowerDoesNotEndTheOthers() async throws {
        try await withTestStore { store in
            let pages = store.subscribeToPages(from: .start)
            let cancelled = Task { for try await _ in pages {} }
            cancelled.cancel()
            _ = await cancelled.result
            try await publish(1, to: store)
            var iterator = pages.makeAsyncIterator()
            var seen = 0
            while seen == 0, let page = try await iterator.next() { seen += page.events.count }
            #expect(seen == 1)
        }
    }

    @Test func nothingIsFetchedAfterStopThoughAHintIsWaiting() async throws {
        try await withTestStore { store in
            let pages = store.subscribeToPages(from: .start)
            var iterator = pages.makeAsyncIterator()
            let first = try await iterator.next()
            #expect(first?.isLast == true)
            try await publish(1, to: store)
            await store.flush()
            pages.stop()
            #expect(try await iterator.next()?.events == nil)
            var another = pages.makeAsyncIterator()
            #expect(try await another.next()?.events == nil)
        }
    }

    @Test func flushReturnsWhileOthersKeepAppending() async throws {
        try await withTestStore { store in
            let busy = Task {
                while !Task.isCancelled { try await publish(1, to: store) }
            }
            for _ in 1...20 {
                try await store.append([NewEvent(type: "counted", data: .null)], to: StreamID("counter", "2"))
                await store.flush()
            }
            busy.cancel()
            _ = await busy.result
        }
    }
}
