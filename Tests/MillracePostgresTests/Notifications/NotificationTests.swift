import MillracePostgres
import Testing

@Suite(.serialized) struct NotificationTests {
    private static let notify: PostgresStatement = "SELECT pg_notify($1, $2)"

    @Test func listeningComesFirstThenWhatIsSent() async throws {
        try await withClient { client in
            let channels = [uniqueName("one"), uniqueName("Odd \"name\"")]
            var iterator = client.notifications(on: channels).makeAsyncIterator()
            #expect(await iterator.next() == .listening)
            for channel in channels {
                try await client.query(Self.notify, [.text(channel), .text("hello")])
                guard case .notified(channel, "hello", let pid) = await iterator.next() else {
                    Issue.record("nothing was heard on \(channel)")
                    return
                }
                #expect(pid > 0)
            }
        }
    }

    @Test func theNewestAreKept() async throws {
        try await withClient {
            $0.maximumBufferedNotifications = 4
        } _: { client in
            let channel = uniqueName("overflow")
            let last = uniqueName("last")
            var iterator = client.notifications(on: [channel, last]).makeAsyncIterator()
            #expect(await iterator.next() == .listening)
            try await client.withTransaction { transaction in
                for number in 1...20 { try await transaction.query(Self.notify, [.text(channel), .text("\(number)")]) }
            }
            var seen: [PostgresNotification] = []
            while let notification = await iterator.next() {
                seen.append(notification)
                if case .notified(_, "20", _) = notification { break }
            }
            // All were sent in one commit, so that they arrive together; the listener may have taken some already.
            #expect(seen.count <= 20)
            try await client.query(Self.notify, [.text(last), .text("end")])
            guard case .notified(last, "end", _) = await iterator.next() else {
                Issue.record("the last notification was not heard")
                return
            }
        }
    }

    @Test func closingTheClientEndsIt() async throws {
        let client = PostgresClient(try await testConfiguration())
        var iterator = client.notifications(on: [uniqueName("closed")]).makeAsyncIterator()
        #expect(await iterator.next() == .listening)
        let closing = Task { await client.close() }
        #expect(await iterator.next() == nil)
        #expect(await iterator.next() == nil)
        await closing.value
    }

    @Test func closingTheClientEndsOneThatCannotConnect() async throws {
        let peer = try FakePeer(.silent)
        let client = PostgresClient(PostgresConfiguration("postgresql://x@127.0.0.1:\(peer.port)/x"))
        let task = Task {
            var iterator = client.notifications(on: ["x"]).makeAsyncIterator()
            return await iterator.next()
        }
        await peer.wasReached.wait()
        await client.close()
        #expect(await task.value == nil)
        peer.stop()
    }

    @Test func aRefusedServerIsTriedAgainUntilTheTaskEnds() async throws {
        let port = try closedPort()
        var configuration = PostgresConfiguration("postgresql://x@127.0.0.1:\(port)/x")
        configuration.reconnectBackoff = .init(initial: .milliseconds(1), maximum: .milliseconds(5))
        let client = PostgresClient(configuration)
        let task = Task {
            var iterator = client.notifications(on: ["x"]).makeAsyncIterator()
            return await iterator.next()
        }
        task.cancel()
        #expect(await task.value == nil)
        await client.close()
    }
}
