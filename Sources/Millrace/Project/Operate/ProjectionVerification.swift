import Logging
import MillracePostgres

/// A row that is otherwise in the generation that serves than where it was computed anew from the log.
public struct ProjectionDifference: Sendable, Hashable {
    public struct Column: Sendable, Hashable {
        public let name: String
        /// nil: there is no such column.
        public let served: JSON?
        public let recomputed: JSON?
    }

    public let table: String
    /// The primary key's columns; nil where the table has none.
    public let key: JSON?
    /// The row that serves; nil: there is none.
    public let served: JSON?
    /// The row as the log says; nil: there is none.
    public let recomputed: JSON?
    /// Those in which both differ; none where only one of them has the row.
    public let columns: [Column]
}

/// What became of comparing a projection with the log.
public struct ProjectionVerification: Sendable, Hashable {
    public let projection: String
    /// The one that served.
    public let generation: Int
    public let version: Int
    /// Of each thousand streams so many were computed anew.
    public let sample: Int
    /// So many rows were computed, and compared.
    public let rows: Int
    public let differences: [ProjectionDifference]
    /// Whether these are all of them; false: there are more than were asked for.
    public let isComplete: Bool
}

extension ProjectionOperations {
    private static let holdEqual: PostgresStatement = "SELECT millrace.hold_equal($1, $2, $3)"
    private static let countRows: PostgresStatement = "SELECT millrace.count_rows($1, $2)"
    private static let noteSnapshot: PostgresStatement = "SELECT pg_current_snapshot()"
    private static let differingColumns: PostgresStatement = """
        SELECT row_number, table_name, key, served, recomputed, column_name, served_value, recomputed_value
        FROM millrace.differing_columns($1, $2, $3)
        """

    /// Computes a projection anew from the log, beside the one that serves and with the version that serves, and compares the two where both
    /// have the same events. The new one is dropped whatever happens, also where this is cancelled; only a process that ends in the middle leaves it.
    ///
    /// The one that serves is read and written on, but for a second at the most, in which the new one comes up with it and nobody writes it; where it is
    /// inline, appends wait so long. Two connections at once, and a few round trips a second.
    /// - Parameters:
    ///   - sample: of each thousand streams so many. Of a sample, rows that only the served one has are not looked for.
    ///   - limit: differences that are returned at the most.
    ///   - patience: how long nobody may run it.
    ///   - deadline: for being equal once it is built.
    ///   - look: is told how far it is.
    /// - Throws: ``ProjectionNotReady``; ``EventStoreError/projectionRefused(_:hint:)`` where none serves.
    public func verify(
        _ name: String,
        sample: Int = 1_000,
        limit: Int = 100,
        patience: Duration = .seconds(30),
        within deadline: Duration = .seconds(60),
        _ look: (ProjectionStatus) throws -> Void = { _ in }
    ) async throws -> ProjectionVerification {
        let generation = try await begin(name, version: nil, swapsByItself: false, .verify, sample: sample, in: nil)
        do {
            let verification = try await compare(name, generation, sample, limit, patience, deadline, look)
            try await drop(name, generation: generation)
            return verification
        } catch {
            await abandon(name, generation)
            throw error
        }
    }

    /// In a task of its own: what was cancelled drops it all the same.
    private func abandon(_ name: String, _ generation: Int) async {
        await Task {
            do {
                try await drop(name, generation: generation)
            } catch {
                store.logger.warning(
                    "a generation that was only to be compared is left",
                    metadata: [
                        "projection": "\(name)", "generation": "\(generation)", "error": "\(error)",
                    ]
                )
            }
        }.value
    }

    private func compare(
        _ name: String,
        _ generation: Int,
        _ sample: Int,
        _ limit: Int,
        _ patience: Duration,
        _ deadline: Duration,
        _ look: (ProjectionStatus) throws -> Void
    ) async throws -> ProjectionVerification {
        try await waitUntilBuilt(name, generation: generation, patience: patience, look)
        let end = ContinuousClock.now + deadline
        var waiting = ProjectionPatience(patience)
        while true {
            let outcome = try await EventStoreError.translating { try await compareNow(name, generation, limit) }
            switch outcome {
            case .compared(let differences, let rows, let served):
                return ProjectionVerification(
                    projection: name,
                    generation: served.generation,
                    version: served.version,
                    sample: sample,
                    rows: rows,
                    differences: Array(differences.prefix(limit)),
                    isComplete: differences.count <= limit
                )
            case .unequal(let reason):
                guard ContinuousClock.now < end else {
                    throw ProjectionNotReady.notEqual(
                        projection: name,
                        generation: generation,
                        reason: reason,
                        waited: deadline
                    )
                }
            }
            let status = try await status(of: name, generation: generation)
            try look(status)
            try waiting.look(at: status)
            try await Task.sleep(for: ProjectionOperations.beat)
        }
    }

    private enum Comparison {
        case compared([ProjectionDifference], rows: Int, served: ProjectionStatus)
        case unequal(String)
    }

    private func compareNow(_ name: String, _ generation: Int, _ limit: Int) async throws -> Comparison {
        let names: [PostgresValue] = [.text(name), .int4(Int32(clamping: generation))]
        let mode = PostgresTransactionMode(isolation: .repeatableRead, readOnly: true)
        return try await store.client.withTransaction(mode) { reader in
            try await reader.query(ProjectionOperations.noStatementTimeout)
            let held = try await held(names) { holder in
                let served = try await list(of: name, in: holder).first { $0.state == .serving }
                // The reader's first look is what all others see: both are equal in it, whatever comes afterwards.
                try await reader.query(ProjectionOperations.noteSnapshot)
                return served
            }
            switch held {
            case .unequal(let reason): return .unequal(reason)
            case .equal(let served):
                guard let served else { return .unequal("none serves") }
                let rows = try await reader.query(
                    ProjectionOperations.differingColumns,
                    // One more, to know whether there are more.
                    names + [.int4(Int32(clamping: limit + 1))],
                    timeout: ProjectionOperations.longestStatement
                )
                let count = try await reader.query(
                    ProjectionOperations.countRows,
                    names,
                    timeout: ProjectionOperations.longestStatement
                ).single().decode(Int64.self, at: 0)
                return .compared(try ProjectionDifference.grouped(rows), rows: Int(count), served: served)
            }
        }
    }

    private enum Hold<Value> {
        case equal(Value)
        case unequal(String)
    }

    /// Runs `body` while a generation and the one that serves are equal, and nobody writes either.
    private func held<Value>(
        _ names: [PostgresValue],
        _ body: (PostgresTransaction) async throws -> Value
    ) async throws -> Hold<Value> {
        do {
            return try await store.client.withTransaction { holder in
                let why = try await holder.query(
                    ProjectionOperations.holdEqual,
                    names + [.int4(ProjectionOperations.holdMilliseconds)]
                ).single().decode(String?.self, at: 0)
                if let why { return .unequal(why) }
                return .equal(try await body(holder))
            }
        } catch PostgresError.server(let error)
            where error.sqlState == .lockNotAvailable || error.sqlState == .deadlockDetected
        {
            return .unequal("somebody who writes it did not let go of a lock")
        }
    }
}

extension ProjectionDifference {
    /// Rows come by their numbers, a line a column.
    fileprivate static func grouped(_ rows: PostgresRows) throws -> [ProjectionDifference] {
        var differences: [ProjectionDifference] = []
        var last: Int64?
        var columns: [Column] = []
        var head: PostgresRow?
        func finish() throws {
            guard let head else { return }
            differences.append(try ProjectionDifference(head, columns))
        }
        for row in rows {
            let number = try row.decode(Int64.self, at: 0)
            if number != last {
                try finish()
                last = number
                head = row
                columns = []
            }
            if let name = try row.decode(String?.self, at: 5) {
                columns.append(Column(name: name, served: try row.json(at: 6), recomputed: try row.json(at: 7)))
            }
        }
        try finish()
        return differences
    }

    private init(_ row: PostgresRow, _ columns: [Column]) throws {
        self.init(
            table: try row.decode(String.self, at: 1),
            key: try row.json(at: 2),
            served: try row.json(at: 3),
            recomputed: try row.json(at: 4),
            columns: columns
        )
    }
}

extension PostgresRow {
    fileprivate func json(at column: Int) throws -> JSON? {
        try decode([UInt8]?.self, at: column).map { JSON(utf8: $0) }
    }
}
