import MillracePostgres

/// Finds out which event of a refused request PostgreSQL did not like: its own error speaks of an array.
enum EventDiagnosis {
    static func isAboutJSON(_ error: PostgresServerError) -> Bool {
        switch error.sqlState {
        case .invalidTextRepresentation, .untranslatableCharacter, .numericValueOutOfRange, .characterNotInRepertoire,
            .statementTooComplex, .programLimitExceeded:
            true
        default:
            false
        }
    }

    private static let inputError: PostgresStatement = """
        SELECT message, detail FROM pg_catalog.pg_input_error_info(pg_catalog.convert_from($1, 'UTF8'), 'jsonb')
        """

    /// Never fails: where the event cannot be found, the original error speaks.
    static func refusal(
        of request: AppendRequest,
        _ error: PostgresServerError,
        client: PostgresClient
    ) async -> EventStoreError {
        let hint = "Nothing was stored. event_data and metadata must be JSON that PostgreSQL's jsonb can hold."
        for (index, entry) in request.entries.enumerated() {
            let documents = [("event_data", entry.event.data), ("metadata", entry.event.metadata ?? .null)]
            for (field, document) in documents {
                if let reason = await reason(against: document, client: client) {
                    let which = request.entries.count == 1 ? "" : " of event \(index + 1) (\(entry.event.type))"
                    return .invalidEvent("\(field)\(which) is not valid: \(reason)", hint: hint)
                }
            }
        }
        return .invalidEvent(error.message, hint: error.hint ?? hint)
    }

    private static func reason(against document: JSON, client: PostgresClient) async -> String? {
        do {
            let rows = try await client.query(inputError, [.bytea(document.utf8)])
            guard let row = rows.first, let message = try row.decode(String?.self, at: 0) else { return nil }
            let detail = try row.decode(String?.self, at: 1)
            return detail.map { "\(message) (\($0))" } ?? message
        } catch PostgresError.server(let error) where isAboutJSON(error) {
            return error.message
        } catch {
            return nil
        }
    }
}
