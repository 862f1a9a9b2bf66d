internal import CLibPQ

/// Scripts and COPY leave pipeline mode, which forbids both, and go back to it when they have ended.
extension PostgresConnection {
    func startExclusive(_ id: UInt64) {
        guard let handle, let request = requests[id] else { preconditionFailure("an unknown call was handed out") }
        let sql: String
        switch request.kind {
        case .script(let text): sql = text
        case .copyIn(let text):
            sql = text
            copy = CopyState(id: id, direction: .into)
        case .copyOut(let text):
            sql = text
            copy = CopyState(id: id, direction: .out)
        case .batch, .end, .settle, .copyWrite, .copyEnd, .copyRead:
            preconditionFailure("a call was handed out that needs no connection of its own")
        }
        guard PQexitPipelineMode(handle.pointer) == 1, PQsendQuery(handle.pointer, sql) == 1 else { return lose() }
    }

    func readScript(_ handle: PGConnection) {
        guard let id = machine.exclusiveCall, let request = requests[id] else { return }
        while ending == nil, PQisBusy(handle.pointer) == 0 {
            guard let result = PQgetResult(handle.pointer) else { return endScript(handle, id, request) }
            defer { PQclear(result) }
            switch PQresultStatus(result) {
            case PGRES_FATAL_ERROR:
                let error = PostgresServerError(result: result)
                if error.endsSession { return lose(error.description) }
                if request.error == nil { request.error = .server(error) }
            case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
                requests[id] = nil
                request.fail(.misuse("a script cannot COPY from or to the client"), sent: true)
                lose("a script on it wanted to COPY from or to the client")
            default: break
            }
        }
    }

    private func endScript(_ handle: PGConnection, _ id: UInt64, _ request: ConnectionRequest) {
        guard PQenterPipelineMode(handle.pointer) == 1 else { return lose() }
        machine.exclusiveEnded(id)
        requests[id] = nil
        if let error = request.error { return request.fail(error, sent: true) }
        request.response.isIdle = PQtransactionStatus(handle.pointer) == PQTRANS_IDLE
        request.finish()
    }
}
