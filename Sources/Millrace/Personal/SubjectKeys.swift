public import MillracePostgres

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// A key for the personal data of one subject.
public struct SubjectKey: Sendable, Hashable, CustomStringConvertible {
    public static let byteCount = 32

    /// What envelopes name it by; never given to another key.
    public let id: UUID
    /// Of AES-256: ``byteCount`` random bytes.
    public let bytes: [UInt8]

    public init(id: UUID, bytes: [UInt8]) {
        precondition(bytes.count == SubjectKey.byteCount, "a key of AES-256 has \(SubjectKey.byteCount) bytes")
        self.id = id
        self.bytes = bytes
    }

    /// Without the bytes, which belong in no log.
    public var description: String { "key \(id.uuidString.lowercased())" }
}

/// What is known of a key.
public enum SubjectKeyState: Sendable, Hashable {
    case known(SubjectKey)
    /// It was destroyed.
    case forgotten
}

/// Where the keys of subjects are kept: in the database, in a folder, or with whom you trust.
///
/// Every process that appends or reads personal data of a store uses the same ones. Keys are shared and remembered by the store
/// (``PersonalData/keyLifetime``), so that these are asked once for all that a page needs. Whoever makes another one promises what is said here.
public protocol SubjectKeys: Sendable {
    /// The key in use of each subject, in their order; durable when it returns. Made where the subject never had one: however many processes ask at
    /// once, they are given the same. `forgotten` where the last one was destroyed.
    func take(for subjects: [String]) async throws -> [SubjectKeyState]
    /// Keys by their ids, in their order; nil where there never was one.
    func read(_ ids: [UUID]) async throws -> [SubjectKeyState?]
    /// The ids of all keys that a subject has or had, destroyed ones too; none where it never had one.
    func ids(of subject: String) async throws -> [UUID]
    /// Destroys the key of a subject, durably; that it was there stays known. Repeated, it finishes what was interrupted.
    /// - Returns: as ``ids(of:)``.
    func forget(_ subject: String) async throws -> [UUID]
    /// Gives a subject a new key where its last one was destroyed, and only there.
    func renew(_ subject: String) async throws
}

extension SubjectKeys where Self == DatabaseSubjectKeys {
    /// In the store's own database.
    public static func inDatabase(_ client: PostgresClient) -> DatabaseSubjectKeys { DatabaseSubjectKeys(client) }
}

extension SubjectKeys where Self == FileSubjectKeys {
    /// In a folder of this machine.
    public static func inFolder(_ folder: String) -> FileSubjectKeys { FileSubjectKeys(folder: folder) }
}
