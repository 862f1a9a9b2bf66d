import MillracePostgres

/// Finds out which event of a refused request PostgreSQL did not like: its own error speaks of an array.
enum EventDiagnosis {
    /// How long the refusal may wait for its explanation.
    private static let timeout: Duration = .seconds(5)

    private static let findBadJSON = PostgresStatement(utf8: PackageResources.find_bad_json_sql)

    static func isAboutJSON(_ error: PostgresServerError) -> Bool {
        switch error.sqlState {
        case .invalidTextRepresentation, .untranslatableCharacter, .numericValueOutOfRange, .characterNotInRepertoire,
            .statementTooComplex, .programLimitExceeded:
            true
        default:
            false
        }
    }

    private struct Document {
        let name: String
        let json: JSON
    }

    /// One round trip, and never fails: where the event cannot be found, or not in time, the original error speaks.
    static func refusal(
        of request: AppendRequest,
        _ error: PostgresServerError,
        client: PostgresClient
    ) async -> EventStoreError {
        let hint = "Nothing was stored. event_data and metadata must be JSON that PostgreSQL's jsonb can hold."
        let documents = documents(of: request)
        // Said here, because the server would fail the whole question.
        if let document = documents.first(where: { String(validating: $0.json.utf8, as: UTF8.self) == nil }) {
            return .invalidEvent("\(document.name) is not valid: it is not UTF8", hint: hint)
        }
        do {
            let rows = try await client.query(
                findBadJSON,
                [.byteaArray(documents.map(\.json.utf8))],
                timeout: timeout
            )
            if let row = rows.first {
                let document = documents[Int(try row.decode(Int32.self, at: 0))]
                let message = try row.decode(String.self, at: 1)
                let detail = try row.decode(String?.self, at: 2).map { " (\($0))" } ?? ""
                return .invalidEvent("\(document.name) is not valid: \(message)\(detail)", hint: hint)
            }
        } catch PostgresError.server(let failure) where isAboutJSON(failure) {
            // What jsonb's input raises instead of reporting it speaks of one of these.
            let names = documents.count == 1 ? documents[0].name : "event_data or metadata"
            return .invalidEvent("\(names) is not valid: \(failure.message)", hint: failure.hint ?? hint)
        } catch {
            // Lost, cancelled or too slow: what is known is said all the same.
        }
        return .invalidEvent(error.message, hint: error.hint ?? hint)
    }

    private static func documents(of request: AppendRequest) -> [Document] {
        request.entries.enumerated().flatMap { index, entry in
            let which = request.entries.count == 1 ? "" : " of event \(index + 1) (\(entry.event.type))"
            let data = Document(name: "event_data\(which)", json: entry.event.data)
            return [data] + (entry.event.metadata.map { [Document(name: "metadata\(which)", json: $0)] } ?? [])
        }
    }
}
