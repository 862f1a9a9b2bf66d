internal import CLibPQ

/// Takes the rows of a COPY … FROM STDIN, in the format that its statement names.
public struct PostgresCopyWriter: Sendable {
    let connection: PostgresConnection
    let copyID: UInt64

    /// Sends bytes, which need not end where a row ends; waits while the server does not keep up.
    ///
    /// The server drops what follows a row that it refuses, so that its error is thrown when the COPY ends.
    /// - Throws: ``PostgresError``.
    public func write(_ bytes: [UInt8]) async throws {
        guard bytes.count <= PostgresCopyWriter.maximumBytes else {
            throw PostgresError.misuse("one write takes at most \(PostgresCopyWriter.maximumBytes) bytes")
        }
        _ = try await connection.response(
            to: .copyWrite(copy: copyID, bytes),
            timeout: connection.configuration.queryTimeout
        )
    }

    /// It is copied into libpq's buffer as a whole.
    static let maximumBytes = 64 << 20
}

extension PostgresConnection {
    /// Runs a `COPY … FROM STDIN`, whose rows `body` writes; it has the connection alone meanwhile.
    ///
    /// What `body` throws ends the COPY, stores nothing of it, and is thrown; the connection stays usable.
    /// - Returns: the number of rows.
    /// - Throws: ``PostgresError``, and what `body` throws.
    @discardableResult
    public nonisolated func copyIn(
        _ sql: String,
        _ body: (PostgresCopyWriter) async throws -> Void
    ) async throws -> Int {
        guard !sql.utf8.contains(0) else { throw PostgresError.misuse("SQL text cannot contain a NUL character") }
        let timeout = configuration.queryTimeout
        let copyID = try await response(to: .copyIn(sql), timeout: timeout).copyID
        do {
            try await body(PostgresCopyWriter(connection: self, copyID: copyID))
        } catch {
            // The error of interest is the body's; the server's answer to this one only repeats it.
            _ = try? await perform(
                .copyEnd(copy: copyID, failure: "given up by the client"),
                timeout: configuration.settleTimeout,
                survivesCancellation: true
            )
            throw error
        }
        return try await response(to: .copyEnd(copy: copyID, failure: nil), timeout: timeout).copied ?? 0
    }

    /// Runs a `COPY … TO STDOUT` and hands each row to `body`, in the format that the statement names; the server waits
    /// while `body` does not keep up. It has the connection alone meanwhile.
    ///
    /// A throw of `body` before the last row costs the connection.
    /// - Returns: the number of rows.
    /// - Throws: ``PostgresError``, and what `body` throws.
    @discardableResult
    public nonisolated func copyOut(_ sql: String, _ body: ([UInt8]) async throws -> Void) async throws -> Int {
        guard !sql.utf8.contains(0) else { throw PostgresError.misuse("SQL text cannot contain a NUL character") }
        let timeout = configuration.queryTimeout
        let copyID = try await response(to: .copyOut(sql), timeout: timeout).copyID
        while true {
            let part: ConnectionRequest.Response
            do throws(RequestFailure) {
                part = try await perform(.copyRead(copy: copyID), timeout: timeout)
            } catch {
                if !error.sent { leaveCopy(copyID) }
                throw error.error
            }
            do {
                for row in part.chunk { try await body(row) }
            } catch {
                if part.copied == nil { leaveCopy(copyID) }
                throw error
            }
            if let copied = part.copied { return copied }
        }
    }

    /// There is no way to stop the rows that are on their way but to close the connection.
    private nonisolated func leaveCopy(_ copyID: UInt64) {
        PollLoop.shared.submit { [self] in
            assumeIsolated { connection in
                guard connection.copy?.id == copyID else { return }
                connection.giveUp(.connectionLost("a COPY on it was left before its last row"))
            }
        }
    }
}

/// A COPY that has the connection.
struct CopyState {
    enum Direction { case into, out }
    enum Phase { case starting, data, ending }

    struct Writer {
        let request: ConnectionRequest
        let bytes: [UInt8]
        /// Whether libpq has the bytes; the writer waits until the socket has them too.
        var isTaken = false
    }

    /// One answer to a reader holds at most this much, but one row at least.
    static let chunkBytes = 256 << 10

    let id: UInt64
    let direction: Direction
    var phase = Phase.starting
    var writers: [Writer] = []
    var reader: ConnectionRequest?
    var finisher: ConnectionRequest?
    var error: PostgresError?
    var rows = 0

    var wantsInput: Bool { phase != .data || direction == .into || reader != nil }
}

/// COPY on the loop's thread.
extension PostgresConnection {
    func acceptCopyPart(_ request: ConnectionRequest) {
        guard let current = copy, current.phase == .data, current.id == request.copyID else {
            return request.fail(.misuse("the COPY has ended"), sent: false)
        }
        switch request.kind {
        case .copyWrite(_, let bytes): copy?.writers.append(.init(request: request, bytes: bytes))
        case .copyRead:
            guard current.reader == nil else { return request.fail(.misuse("the COPY is being read"), sent: false) }
            copy?.reader = request
        case .copyEnd(_, let failure): return endCopy(request, failure)
        case .batch, .end, .settle, .script, .copyIn, .copyOut: preconditionFailure("not a part of a COPY")
        }
        putCopyData()
        proceed()
    }

    private func endCopy(_ request: ConnectionRequest, _ failure: String?) {
        guard let handle, let writers = copy?.writers, writers.allSatisfy(\.isTaken) else {
            return request.fail(.misuse("the COPY was ended while it was written to"), sent: false)
        }
        copy?.finisher = request
        copy?.phase = .ending
        guard PQputCopyEnd(handle.pointer, failure) == 1 else { return lose() }
        proceed()
    }

    private func putCopyData() {
        guard let handle, let writers = copy?.writers else { return }
        for (index, writer) in writers.enumerated() where !writer.isTaken {
            let status = writer.bytes.withUnsafeBytes { bytes in
                PQputCopyData(handle.pointer, bytes.bindMemory(to: CChar.self).baseAddress, Int32(bytes.count))
            }
            switch status {
            case 1: copy?.writers[index].isTaken = true
            case 0: return
            default: return lose()
            }
        }
    }

    /// The socket has taken all that libpq had.
    func resumeCopyWriters() {
        guard let writers = copy?.writers, !writers.isEmpty else { return }
        copy?.writers.removeAll { $0.isTaken }
        for writer in writers where writer.isTaken { writer.request.finish() }
        guard copy?.writers.isEmpty == false else { return }
        putCopyData()
        updateInterest()
    }

    func readCopy(_ handle: PGConnection) {
        while ending == nil, let current = copy {
            switch (current.phase, current.direction) {
            case (.starting, _), (.ending, _):
                guard PQisBusy(handle.pointer) == 0 else { return }
                readCopyResult(handle, current)
            case (.data, .into):
                // Lets libpq read notices; an error stays unread until the COPY ends, as its protocol has it.
                _ = PQisBusy(handle.pointer)
                return
            case (.data, .out):
                guard readCopyRows(handle) else { return }
            }
        }
    }

    private func readCopyResult(_ handle: PGConnection, _ current: CopyState) {
        guard let result = PQgetResult(handle.pointer) else { return finishCopy(handle, current) }
        defer { PQclear(result) }
        switch PQresultStatus(result) {
        case PGRES_COPY_IN where current.direction == .into, PGRES_COPY_OUT where current.direction == .out:
            // After an end of the data that libpq could not tell the server of, it says the same once more.
            guard current.phase == .starting else { return lose("the COPY did not end") }
            copy?.phase = .data
            guard let request = requests.removeValue(forKey: current.id) else { return }
            request.response.copyID = current.id
            request.finish()
        case PGRES_FATAL_ERROR:
            let error = PostgresServerError(result: result)
            if error.endsSession { return lose(error.description) }
            if current.error == nil { copy?.error = .server(error) }
        case PGRES_COMMAND_OK where current.phase == .ending:
            copy?.rows = PQcmdTuples(result).flatMap { Int(String(cString: $0)) } ?? 0
        case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
            lose("the COPY goes the other way than it was called for")
        default:
            copy?.error = .misuse("the statement is not a COPY from or to the client")
        }
    }

    /// - Returns: false where there is nothing to do before more arrives, or before the next call.
    private func readCopyRows(_ handle: PGConnection) -> Bool {
        guard let reader = copy?.reader else { return false }
        var bytes = reader.response.chunk.reduce(0) { $0 + $1.count }
        while bytes < CopyState.chunkBytes {
            var row: UnsafeMutablePointer<CChar>?
            let length = PQgetCopyData(handle.pointer, &row, 1)
            if length > 0, let row {
                reader.response.chunk.append([UInt8](UnsafeRawBufferPointer(start: row, count: Int(length))))
                PQfreemem(row)
                bytes += Int(length)
                continue
            }
            if length == -1 {
                copy?.phase = .ending
                return true
            }
            if length == 0 { break }
            lose()
            return false
        }
        guard bytes > 0 else { return false }
        copy?.reader = nil
        reader.finish()
        return false
    }

    private func finishCopy(_ handle: PGConnection, _ current: CopyState) {
        guard PQenterPipelineMode(handle.pointer) == 1 else { return lose() }
        copy = nil
        machine.exclusiveEnded(current.id)
        let waiting = [requests.removeValue(forKey: current.id), current.reader, current.finisher].compactMap { $0 }
        for request in waiting {
            if let error = current.error {
                request.fail(error, sent: true)
            } else {
                request.response.copied = current.rows
                request.finish()
            }
        }
    }

    func failCopy(_ error: PostgresError) {
        guard let current = copy else { return }
        copy = nil
        for writer in current.writers { writer.request.fail(error, sent: true) }
        current.reader?.fail(error, sent: true)
        current.finisher?.fail(error, sent: true)
    }
}
