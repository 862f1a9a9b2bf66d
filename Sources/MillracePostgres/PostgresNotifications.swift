internal import Logging

/// What a listener hears: hints to look at a table, never the data itself.
public enum PostgresNotification: Sendable, Hashable {
    case notified(channel: String, payload: String, processID: Int32)
    /// First of all, after each reconnect, and after an overflow: something may have been missed, look at the table.
    case listening
}

/// LISTEN on a connection of its own for each iterator, opened anew with backoff when it is lost.
///
/// The newest notifications are kept for a listener that is behind. It never throws; it ends when the client is closed or
/// the task is cancelled.
public struct PostgresNotifications: AsyncSequence, Sendable {
    public typealias Element = PostgresNotification
    public typealias Failure = Never

    let client: PostgresClient
    let channels: [String]

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(listener: Listener(client, channels))
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let listener: Listener

        public mutating func next() async -> PostgresNotification? {
            await listener.next()
        }

        public mutating func next(isolation actor: isolated (any Actor)?) async -> PostgresNotification? {
            await listener.next()
        }
    }
}

/// An iterator's connection. It is used by one task at a time, as iterators are.
private final class Listener {
    private let client: PostgresClient
    private let listen: [PostgresCall]
    private let inbox: NotificationInbox
    private var connection: PostgresConnection?
    private var failures = 0

    init(_ client: PostgresClient, _ channels: [String]) {
        self.client = client
        listen = channels.map { channel in
            let quoted = channel.replacing("\"", with: "\"\"")
            return PostgresCall(PostgresStatement("LISTEN \"\(quoted)\"", prepared: false))
        }
        inbox = NotificationInbox(limit: client.configuration.maximumBufferedNotifications)
        client.register(inbox)
    }

    deinit {
        client.unregister(inbox)
        inbox.finish()
    }

    func next() async -> PostgresNotification? {
        while !Task.isCancelled {
            switch inbox.take() {
            case .notification(let notification): return notification
            case .finished:
                connection = nil
                return nil
            case .connectionEnded:
                connection = nil
            case .nothing:
                guard connection == nil else {
                    await inbox.wait(atMost: nil)
                    continue
                }
                if await connect() { return .listening }
            }
        }
        connection = nil
        return nil
    }

    /// - Returns: whether it listens; where not, the backoff has been waited for.
    private func connect() async -> Bool {
        do {
            let connection = try await inbox.connect(client, listen)
            self.connection = connection
            failures = 0
            return true
        } catch {
            failures += 1
            client.logger.debug("cannot listen for notifications", metadata: ["error": "\(error)"])
            await inbox.wait(atMost: client.configuration.reconnectBackoff.delay(afterFailure: failures))
            return false
        }
    }
}
