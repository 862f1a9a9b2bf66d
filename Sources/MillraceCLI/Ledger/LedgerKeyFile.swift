import ArgumentParser
import Millrace

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A file with the secret key of a ledger, which only its owner may read.
struct LedgerKeyFile: Sendable {
    static let environmentVariable = "MILLRACE_LEDGER_KEY_FILE"
    /// In the folder of Millrace's own PostgreSQL.
    static let nameInFolder = "ledger.key"
    private static let byteLimit = 4096
    private static let mode: mode_t = 0o600

    let path: String

    var exists: Bool { access(path, F_OK) == 0 }

    /// - Throws: ``Failure`` where it cannot be read, is no key, or may be read by others.
    func read() throws -> LedgerSigningKey {
        var status = stat()
        guard stat(path, &status) == 0 else { throw failure("cannot be read", errno) }
        guard status.st_mode & 0o077 == 0 else {
            throw Failure(
                .badInput,
                "the key file \(path.printable) may be read by others: chmod 600, and rotate the key if it was"
            )
        }
        guard status.st_size <= LedgerKeyFile.byteLimit, let data = FileManager.default.contents(atPath: path) else {
            throw failure("cannot be read", errno)
        }
        let text = String(decoding: data, as: UTF8.self)
        do throws(LedgerKeyError) {
            return try LedgerSigningKey(text.split(whereSeparator: \.isNewline).first.map(String.init) ?? "")
        } catch { throw Failure(.badInput, "the key file \(path.printable) has no key: \(error)") }
    }

    /// Makes the file; never writes over one.
    func write(_ key: LedgerSigningKey) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, LedgerKeyFile.mode)
        guard descriptor >= 0 else { throw failure("cannot be made", errno) }
        defer { _ = close(descriptor) }
        var rest = Array("\(key.secretText)\n".utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { writeBytes(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("cannot be written", errno) }
            rest = rest.dropFirst(count)
        }
        guard fsync(descriptor) == 0 else { throw failure("cannot be written", errno) }
    }

    private func failure(_ what: String, _ code: Int32) -> Failure {
        Failure(.failed, "the key file \(path.printable) \(what): \(String(cString: strerror(code)))")
    }
}

/// Which key signs.
struct LedgerKeyOptions: ParsableArguments {
    @Option(
        name: .customLong("key-file"),
        help: ArgumentHelp(
            "The secret key; otherwise \(LedgerKeyFile.environmentVariable), or \(LedgerKeyFile.nameInFolder) in --data-dir.",
            valueName: "file"
        )
    )
    var keyFile: String?

    func file(_ database: DatabaseOptions) throws -> LedgerKeyFile {
        if let keyFile { return LedgerKeyFile(path: keyFile) }
        let variable = ProcessInfo.processInfo.environment[LedgerKeyFile.environmentVariable] ?? ""
        if !variable.isEmpty { return LedgerKeyFile(path: variable) }
        if case .embedded = database.choice {
            return LedgerKeyFile(path: "\(database.dataDirectory)/\(LedgerKeyFile.nameInFolder)")
        }
        throw Failure(.usage, "which key? Name its file with --key-file or \(LedgerKeyFile.environmentVariable)")
    }
}

/// The public keys that somebody trusts: as text, or in a file.
enum LedgerTrust {
    private static let byteLimit = 16 << 20

    static func keyring(_ given: [String]) throws -> LedgerKeyring {
        var texts: [String] = []
        for text in given {
            if let key = try? LedgerVerifierKey(text) {
                texts.append("\(key)")
            } else {
                texts.append(String(decoding: try LedgerInput.bytes(text, limit: byteLimit), as: UTF8.self))
            }
        }
        return try LedgerKeyring(texts.joined(separator: "\n"))
    }
}

/// A file that somebody else has made.
enum LedgerInput {
    static func bytes(_ path: String, limit: Int) throws -> [UInt8] {
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw Failure(.badInput, "\(path.printable) cannot be read: \(String(cString: strerror(errno)))")
        }
        guard status.st_size <= limit else {
            throw Failure(.badInput, "\(path.printable) has more than \(limit.grouped) bytes")
        }
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Failure(.badInput, "\(path.printable) cannot be read")
        }
        return Array(data)
    }
}
