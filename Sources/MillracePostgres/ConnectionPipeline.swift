internal import CLibPQ
internal import Synchronization

#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// The connection on the loop's thread: performs on the PGconn what the state machine decides.
extension PostgresConnection {
    func start() {
        guard let handle else { return }
        notices.attach(to: handle)
        guard PQsetnonblocking(handle.pointer, 1) == 0, PQenterPipelineMode(handle.pointer) == 1 else { return lose() }
        let source = PollSource(descriptor: PQsocket(handle.pointer), interest: Int16(POLLIN)) { [weak self] events in
            self?.assumeIsolated { $0.ready(events) }
        }
        self.source = source
        PollLoop.shared.add(source)
    }

    func stopPolling() {
        if let source { PollLoop.shared.remove(source) }
        source = nil
    }

    // MARK: Requests

    func accept(_ request: ConnectionRequest) {
        guard !request.isFinished else { return request.resumeIfFailed() }
        if let ending { return request.fail(ending, sent: false) }
        if let defect = request.defect { return request.fail(.misuse(defect), sent: false) }
        lastID += 1
        request.id = lastID
        arm(request)
        switch request.kind {
        case .copyWrite, .copyEnd, .copyRead: return acceptCopyPart(request)
        case .end(let commit): if endsWithoutServer(request, commit) { return }
        case .settle: if isSettled(request) { return }
        case .batch, .script, .copyIn, .copyOut: break
        }
        let call = ConnectionStateMachine.Call(id: lastID, exclusive: request.isExclusive, bytes: request.byteCount)
        guard machine.enqueue(call) else {
            let limit = machine.limits.queued
            return request.fail(.misuse("\(limit) calls are queued on the connection already"), sent: false)
        }
        requests[lastID] = request
        proceed()
    }

    private func endsWithoutServer(_ request: ConnectionRequest, _ commit: Bool) -> Bool {
        defer { refusal = nil }
        if pendingBegin != nil {
            pendingBegin = nil
            request.finish()
            return true
        }
        guard commit, let refusal else { return false }
        request.fail(refusal, sent: false)
        return true
    }

    private func isSettled(_ request: ConnectionRequest) -> Bool {
        pendingBegin = nil
        refusal = nil
        guard let handle, machine.isQuiet, PQtransactionStatus(handle.pointer) == PQTRANS_IDLE else { return false }
        request.finish()
        return true
    }

    private func arm(_ request: ConnectionRequest) {
        guard let timeout = request.timeout else { return }
        request.timer = PollLoop.shared.schedule(at: .now + timeout) { [weak self] in
            self?.assumeIsolated { $0.abandon(request, .timedOut(timeout)) }
        }
    }

    /// The caller does not wait any longer.
    func abandon(_ request: ConnectionRequest, _ error: PostgresError) {
        guard !request.isFinished else { return }
        if ending == nil, request.isCopyPart, request.id != 0 {
            request.fail(error, sent: true)
            return giveUp(error, reason: "a part of the COPY on it was given up: \(error)")
        }
        switch ending == nil ? machine.abandon(request.id) : .unknown {
        case .unknown: request.fail(error, sent: false)
        case .dequeued:
            requests[request.id] = nil
            request.fail(error, sent: false)
            proceed()
        case .costsConnection:
            requests[request.id] = nil
            request.fail(error, sent: true)
            giveUp(error, reason: "another call that was in flight on it was given up: \(error)")
        }
    }

    // MARK: The socket

    func ready(_ events: Int16) {
        guard let handle, ending == nil else { return }
        if events & Int16(POLLOUT) != 0, PQflush(handle.pointer) < 0 { return lose() }
        if events & ~Int16(POLLOUT) != 0 {
            var reads = 0
            repeat {
                guard PQconsumeInput(handle.pointer) == 1 else {
                    // What arrived before the end still counts.
                    readAnswers()
                    return lose()
                }
                reads += 1
                readAnswers()
                guard ending == nil else { return }
            } while source?.interest != 0 && TLSBuffer.mayHoldMore(handle, reads: reads)
        }
        proceed()
    }

    /// Takes what has arrived, sends what may be sent, and says what to wait for.
    func proceed() {
        readAnswers()
        pump()
        updateInterest()
    }

    func readAnswers() {
        guard let handle, ending == nil else { return }
        if machine.exclusiveCall == nil {
            readPipeline(handle)
        } else if copy != nil {
            readCopy(handle)
        } else {
            readScript(handle)
        }
        readNotifications()
    }

    private func readNotifications() {
        guard let handle, ending == nil else { return }
        while let notification = PQnotifies(handle.pointer) {
            inbox?.add(
                .notified(
                    channel: String(cString: notification.pointee.relname),
                    payload: notification.pointee.extra.map { String(cString: $0) } ?? "",
                    processID: notification.pointee.be_pid
                )
            )
            PQfreemem(notification)
        }
    }

    func updateInterest() {
        guard let handle, let source, ending == nil else { return }
        let unsent = PQflush(handle.pointer)
        guard unsent >= 0 else { return lose() }
        // While a COPY's reader is busy, its rows wait in the server and not in our memory.
        let reads = copy.map { $0.wantsInput } ?? true
        source.interest = (reads ? Int16(POLLIN) : 0) | (unsent == 1 ? Int16(POLLOUT) : 0)
        if unsent == 0 { resumeCopyWriters() }
    }

    // MARK: Sending

    func pump() {
        while ending == nil {
            if !machine.hasFlights, machine.exclusiveCall == nil, sendDeallocations() { return }
            if let refusal, machine.exclusiveCall == nil, failQueued(refusal) { continue }
            if pendingBegin != nil, machine.nextIsExclusive {
                guard !machine.hasFlights else { return }
                sendBeginAlone()
                return
            }
            switch machine.next() {
            case .nothing: return
            case .send(let id): send(id)
            case .startExclusive(let id): startExclusive(id)
            }
        }
    }

    private func send(_ id: UInt64) {
        guard let handle, let request = requests[id] else { preconditionFailure("an unknown call was handed out") }
        let calls = request.calls
        var steps: [ConnectionStateMachine.Step] = []
        steps.reserveCapacity(calls.count + 2)
        var isSent = true
        request.carriedBegin = false
        if let begin = pendingBegin {
            pendingBegin = nil
            request.carriedBegin = true
            steps.append(.begin)
            isSent = sendUnnamed(PostgresCall(PostgresStatement(begin)), handle)
        }
        for (index, call) in calls.enumerated() where isSent {
            isSent = send(call, index, request, handle, &steps)
        }
        steps.append(.sync)
        // Handed to the machine in any case: the request must fail as one that was sent.
        machine.sent(id, steps)
        request.response.results.reserveCapacity(calls.count)
        if !isSent || PQpipelineSync(handle.pointer) != 1 { lose() }
    }

    private func send(
        _ call: PostgresCall,
        _ index: Int,
        _ request: ConnectionRequest,
        _ handle: PGConnection,
        _ steps: inout [ConnectionStateMachine.Step]
    ) -> Bool {
        guard call.statement.prepared, cache.limit > 0 else {
            steps.append(.execute(index))
            return sendUnnamed(call, handle)
        }
        let key = PreparedStatementCache.Key(statement: call.statement, types: call.parameters.map(\.typeOID))
        switch cache.use(key, by: request.id) {
        case .unnamed:
            steps.append(.execute(index))
            return sendUnnamed(call, handle)
        case .prepareFirst(let name):
            request.preparedKeys[index] = key
            steps.append(.prepare(index))
            steps.append(.execute(index))
            let isSent = PQsendPrepare(handle.pointer, name, call.statement.sql, Int32(key.types.count), key.types)
            return isSent == 1 && sendPrepared(call, name, handle)
        case .prepared(let name):
            request.preparedKeys[index] = key
            steps.append(.execute(index))
            return sendPrepared(call, name, handle)
        }
    }

    private func sendUnnamed(_ call: PostgresCall, _ handle: PGConnection) -> Bool {
        arguments.withArguments(call.parameters) { count, types, values, lengths, formats in
            PQsendQueryParams(handle.pointer, call.statement.sql, count, types, values, lengths, formats, 1) == 1
        }
    }

    private func sendPrepared(_ call: PostgresCall, _ name: String, _ handle: PGConnection) -> Bool {
        arguments.withArguments(call.parameters) { count, _, values, lengths, formats in
            PQsendQueryPrepared(handle.pointer, name, count, values, lengths, formats, 1) == 1
        }
    }

    /// A script or a COPY cannot carry the BEGIN itself.
    private func sendBeginAlone() {
        guard let handle, let begin = pendingBegin else { return }
        pendingBegin = nil
        lastID += 1
        let isSent = sendUnnamed(PostgresCall(PostgresStatement(begin)), handle)
        machine.sentInternally(lastID, [.begin, .sync])
        if !isSent || PQpipelineSync(handle.pointer) != 1 { lose() }
    }

    /// Outside of a transaction only: a DEALLOCATE that fails must not fail somebody's transaction.
    private func sendDeallocations() -> Bool {
        guard let handle, pendingBegin == nil, !cache.deallocations.isEmpty,
            PQtransactionStatus(handle.pointer) == PQTRANS_IDLE
        else { return false }
        var isSent = true
        var steps: [ConnectionStateMachine.Step] = []
        for name in cache.takeDeallocations() where isSent {
            isSent = sendUnnamed(PostgresCall(PostgresStatement("DEALLOCATE \(name)")), handle)
            isSent = isSent && PQpipelineSync(handle.pointer) == 1
            steps += [.execute(0), .sync]
        }
        lastID += 1
        machine.sentInternally(lastID, steps)
        if !isSent { lose() }
        return !isSent
    }

    private func failQueued(_ error: PostgresError) -> Bool {
        guard let id = machine.dequeue() else { return false }
        requests.removeValue(forKey: id)?.fail(error, sent: false)
        return true
    }

    // MARK: Answers

    private func readPipeline(_ handle: PGConnection) {
        while machine.hasFlights, ending == nil, PQisBusy(handle.pointer) == 0 {
            guard let result = PQgetResult(handle.pointer) else {
                react(machine.received(.end), nil)
                continue
            }
            switch PQresultStatus(result) {
            case PGRES_PIPELINE_SYNC:
                PQclear(result)
                react(machine.received(.sync), nil)
            case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
                react(machine.received(.result), result)
            case PGRES_PIPELINE_ABORTED:
                react(machine.received(.aborted), result)
            case PGRES_FATAL_ERROR:
                react(machine.received(.error), result)
            default:
                PQclear(result)
                lose("a statement that needs a connection of its own, such as COPY, was sent as a query")
            }
        }
        if machine.isQuiet { _ = PQisBusy(handle.pointer) }
    }

    /// Takes ownership of `result`.
    private func react(_ reaction: ConnectionStateMachine.Reaction, _ result: OpaquePointer?) {
        switch reaction {
        case .nothing: PQclear(result)
        case .violation(let text):
            PQclear(result)
            lose(text)
        case .complete(let id): complete(id)
        case .take(let id, let step):
            guard let result else { preconditionFailure("an answer without a result was handed to a call") }
            take(result, requests[id], step)
        }
    }

    private func take(
        _ result: OpaquePointer,
        _ request: ConnectionRequest?,
        _ step: ConnectionStateMachine.Step
    ) {
        let status = PQresultStatus(result)
        guard status == PGRES_FATAL_ERROR || status == PGRES_PIPELINE_ABORTED else {
            guard let request, case .execute = step else {
                if case .prepare(let index) = step, let key = request?.preparedKeys[index] { cache.prepared(key) }
                return PQclear(result)
            }
            request.response.results.append(PostgresRows(PostgresResult(result)))
            return
        }
        defer { PQclear(result) }
        if case .prepare(let index) = step, let key = request?.preparedKeys[index] { cache.failed(key) }
        guard status == PGRES_FATAL_ERROR else { return }
        let error = PostgresServerError(result: result)
        if error.endsSession {
            notices.fatal = error
            return lose(error.description)
        }
        if case .begin = step { refusal = .server(error) }
        if let request, request.error == nil {
            request.error = .server(error)
            if case .execute(let index) = step { forgetStalePlan(error, request.preparedKeys[index]) }
        }
    }

    /// A plan of which the server has no use any more must not be used again.
    private func forgetStalePlan(_ error: PostgresServerError, _ key: PreparedStatementCache.Key?) {
        guard let key else { return }
        if error.sqlState == .invalidStatementName { cache.forgetAll() }
        if error.isStalePlan { cache.discard(key) }
    }

    private func complete(_ id: UInt64) {
        guard let handle, let request = requests[id] else { return }
        let status = PQtransactionStatus(handle.pointer)
        guard let error = request.error else {
            requests[id] = nil
            request.response.isIdle = status == PQTRANS_IDLE
            return request.finish()
        }
        if canRunAgain(request, error, status) {
            request.wasRetried = true
            request.error = nil
            request.response.results = []
            request.preparedKeys = [:]
            let call = ConnectionStateMachine.Call(id: id, exclusive: false, bytes: request.byteCount)
            if machine.enqueue(call, first: true) { return }
        }
        requests[id] = nil
        request.fail(error, sent: true)
    }

    /// A single statement that failed before it ran, because the server had lost or outdated its prepared form, runs once
    /// more; within a transaction the failure has spoilt the transaction already.
    private func canRunAgain(
        _ request: ConnectionRequest,
        _ error: PostgresError,
        _ status: PGTransactionStatusType
    ) -> Bool {
        guard case .batch(let calls) = request.kind, calls.count == 1, !request.wasRetried, !request.carriedBegin,
            !request.preparedKeys.isEmpty, status == PQTRANS_IDLE, pendingBegin == nil,
            !transactionIsOpen.load(ordering: .acquiring), case .server(let error) = error
        else { return false }
        return error.sqlState == .invalidStatementName || error.isStalePlan
    }
}

extension PostgresServerError {
    /// "cached plan must not change result type", known by the function that raises it: its SQLSTATE is shared.
    var isStalePlan: Bool { sqlState == .featureNotSupported && routine == "RevalidateCachedQuery" }
}

extension ConnectionRequest {
    var isExclusive: Bool {
        switch kind {
        case .batch, .end, .settle: false
        case .script, .copyIn, .copyOut, .copyWrite, .copyEnd, .copyRead: true
        }
    }

    var isCopyPart: Bool {
        switch kind {
        case .copyWrite, .copyEnd, .copyRead: true
        case .batch, .end, .settle, .script, .copyIn, .copyOut: false
        }
    }

    var copyID: UInt64? {
        switch kind {
        case .copyWrite(let id, _), .copyEnd(let id, _), .copyRead(let id): id
        case .batch, .end, .settle, .script, .copyIn, .copyOut: nil
        }
    }

    var calls: [PostgresCall] {
        switch kind {
        case .batch(let calls): calls
        case .end(let commit): commit ? ConnectionRequest.commit : ConnectionRequest.rollback
        case .settle: ConnectionRequest.rollback
        case .script, .copyIn, .copyOut, .copyWrite, .copyEnd, .copyRead: []
        }
    }

    private static let commit = [PostgresCall(PostgresStatement("COMMIT", prepared: false))]
    private static let rollback = [PostgresCall(PostgresStatement("ROLLBACK", prepared: false))]

    var byteCount: Int { calls.reduce(0) { $0 + $1.byteCount } }

    var defect: String? {
        guard case .batch(let calls) = kind else { return nil }
        for call in calls { if let defect = call.defect { return defect } }
        return nil
    }
}
