/// One call on a connection, from its caller's task to the answer.
///
/// `@unchecked Sendable`: the caller's task creates it and sets the continuation before it submits it; from then on only
/// the poll loop's thread touches it.
final class ConnectionRequest: @unchecked Sendable {
    enum Kind {
        case batch([PostgresCall])
        /// COMMIT or ROLLBACK; nothing is sent where the BEGIN was not.
        case end(commit: Bool)
        /// Waits for all that was sent, and leaves no transaction behind.
        case settle
        case script(String)
        case copyIn(String)
        case copyOut(String)
        /// Parts of a COPY that has the connection already.
        case copyWrite(copy: UInt64, [UInt8])
        case copyEnd(copy: UInt64, failure: String?)
        case copyRead(copy: UInt64)
    }

    struct Response {
        var results: [PostgresRows] = []
        var copyID: UInt64 = 0
        var chunk: [[UInt8]] = []
        /// A COPY's row count, once it has ended.
        var copied: Int?
        /// Whether the connection was left outside of any transaction.
        var isIdle = false
    }

    let kind: Kind
    let timeout: Duration?
    var id: UInt64 = 0
    var response = Response()
    var error: PostgresError?
    /// Which statements go through a prepared form, by their index in the batch.
    var preparedKeys: [Int: PreparedStatementCache.Key] = [:]
    var wasRetried = false
    var carriedBegin = false
    var timer: PollTimer?
    private(set) var isFinished = false
    private var failure: RequestFailure?
    private var caller: Caller?

    /// Who is told of the outcome.
    enum Caller {
        case task(CheckedContinuation<Response, any Error>)
        /// Called on the poll thread.
        case callback(@Sendable (Result<Response, RequestFailure>) -> Void)
    }

    init(_ kind: Kind, timeout: Duration?) {
        self.kind = kind
        self.timeout = timeout
    }

    /// Before it is submitted.
    func begin(_ caller: Caller) {
        self.caller = caller
    }

    /// The first outcome counts; a later one is ignored.
    func finish() {
        guard !isFinished else { return }
        isFinished = true
        disarm()
        let caller = caller
        self.caller = nil
        switch caller {
        case .task(let continuation): continuation.resume(returning: response)
        case .callback(let callback): callback(.success(response))
        case nil: break
        }
    }

    func fail(_ error: PostgresError, sent: Bool) {
        guard !isFinished else { return }
        isFinished = true
        disarm()
        failure = RequestFailure(error: error, sent: sent)
        resumeIfFailed()
    }

    /// A cancellation may arrive before the request itself does.
    func resumeIfFailed() {
        guard let failure, let caller else { return }
        self.caller = nil
        switch caller {
        case .task(let continuation): continuation.resume(throwing: failure)
        case .callback(let callback): callback(.failure(failure))
        }
    }

    private func disarm() {
        if let timer { PollLoop.shared.cancel(timer) }
        timer = nil
    }
}

/// What a request fails with inside of this module.
struct RequestFailure: Error {
    let error: PostgresError
    /// Whether the server may have seen it.
    let sent: Bool
}
