import MillracePostgres

/// Bringing the schema's routines and views to what the library has, within the migrator's transaction.
///
/// CREATE OR REPLACE wherever it is possible, because it keeps what users granted and built on a function. What PostgreSQL
/// refuses to replace (another result, other columns) is dropped first; what it would keep beside the new one (other
/// parameters), or for ever (a function that is no more), is dropped afterwards.
struct FunctionScripts {
    let transaction: PostgresTransaction
    /// The schema's routines and views as they were before.
    private let before: [String?]

    init(in transaction: PostgresTransaction) async throws {
        self.transaction = transaction
        before = try await transaction.query(Migrator.selectRoutines).map { try $0.decode(String.self, at: 0) }
    }

    func run(_ scripts: [SchemaScript]) async throws {
        for script in scripts {
            do {
                try await transaction.withSavepoint { try await $0.script(script.sql) }
            } catch PostgresError.server(let error) where Self.needsDrop(error.sqlState) {
                try await dropStale(named: script.name)
                try await transaction.script(script.sql)
            }
            try await dropStale(named: script.name)
        }
        try await dropStale(named: nil)
    }

    private static func needsDrop(_ state: PostgresSQLState) -> Bool {
        switch state {
        case .invalidFunctionDefinition, .invalidTableDefinition, .ambiguousFunction, .wrongObjectType: true
        default: false
        }
    }

    /// Never CASCADE: what a user built on it is his.
    private func dropStale(named name: String?) async throws {
        let commands = try await transaction.query(Migrator.dropStale, [.textArray(before), .text(name)])
        for row in commands {
            let command = try row.decode(String.self, at: 0)
            do {
                try await transaction.script(command)
            } catch PostgresError.server(let error) where error.sqlState == .dependentObjectsStillExist {
                throw MigrationError.inUse(command: command, by: error.detail ?? error.message)
            }
        }
    }
}
