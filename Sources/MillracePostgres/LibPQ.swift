internal import CLibPQ

/// A PGconn. `@unchecked Sendable`: one thread at a time has it, first a connecting one, then the poll loop's.
struct PGConnection: @unchecked Sendable {
    let pointer: OpaquePointer

    /// libpq's last message, in one line.
    var message: String {
        guard let text = PQerrorMessage(pointer).map({ String(cString: $0) }) else { return "no reason given" }
        let line = text.split(whereSeparator: \.isNewline).joined(separator: "; ")
        return line.isEmpty ? "no reason given" : line
    }
}

/// What the server says unasked. `@unchecked Sendable`: as the connection whose PGconn calls it.
final class NoticeBox: @unchecked Sendable {
    /// The error that ended the session, where it came while nothing was asked.
    var fatal: PostgresServerError?

    /// libpq would print notices to standard error otherwise. The box must outlive the PGconn.
    func attach(to connection: PGConnection) {
        _ = PQsetNoticeReceiver(
            connection.pointer,
            { context, result in
                guard let context, let result else { return }
                let error = PostgresServerError(result: result)
                guard error.severity == "FATAL" || error.severity == "PANIC" else { return }
                Unmanaged<NoticeBox>.fromOpaque(context).takeUnretainedValue().fatal = error
            },
            Unmanaged.passUnretained(self).toOpaque()
        )
    }
}

extension PostgresServerError {
    /// The C header defines the codes of the fields as character constants, which Swift does not import.
    private enum Field: UInt8 {
        case severity = 0x56  // V, the one that is not translated
        case sqlState = 0x43
        case message = 0x4D
        case detail = 0x44
        case hint = 0x48
        case position = 0x50
        case context = 0x57
        case schema = 0x73
        case table = 0x74
        case column = 0x63
        case dataType = 0x64
        case constraint = 0x6E
        case routine = 0x52
    }

    init(result: OpaquePointer) {
        func field(_ field: Field) -> String? {
            PQresultErrorField(result, Int32(field.rawValue)).map { String(cString: $0) }
        }
        // Without an SQLSTATE libpq itself made it, and the session cannot be trusted any more.
        self.init(
            sqlState: PostgresSQLState(rawValue: field(.sqlState) ?? "08000"),
            severity: field(.severity) ?? (field(.sqlState) == nil ? "FATAL" : "ERROR"),
            message: field(.message) ?? PQresultErrorMessage(result).map { String(cString: $0) } ?? "no message"
        )
        detail = field(.detail)
        hint = field(.hint)
        position = field(.position).flatMap { Int($0) }
        context = field(.context)
        schema = field(.schema)
        table = field(.table)
        column = field(.column)
        dataType = field(.dataType)
        constraint = field(.constraint)
        routine = field(.routine)
    }
}
