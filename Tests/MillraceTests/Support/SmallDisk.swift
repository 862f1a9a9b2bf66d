import Foundation

@testable import MillraceEmbedded

/// A disk of a few megabytes in memory, which can be filled without harm.
struct SmallDisk {
    static let size = 40 << 20
    private static let reserve = 6 << 20

    /// Mounting is root's alone.
    static let canBeMade = geteuid() == 0 && FileManager.default.isExecutableFile(atPath: "/bin/mount")

    private let mountPoint: String
    /// Inside of the disk, and owned by the account that the server runs under.
    let folder: String
    private var ballast: String { mountPoint + "/ballast" }

    /// Mounts one for the length of the body.
    static func run(_ body: (SmallDisk) async throws -> Void) async throws {
        let disk = try await mount()
        let outcome: Result<Void, any Error>
        do {
            outcome = .success(try await body(disk))
        } catch {
            outcome = .failure(error)
        }
        try await call("umount", disk.mountPoint)
        try FileManager.default.removeItem(atPath: disk.mountPoint)
        try outcome.get()
    }

    private static func mount() async throws -> SmallDisk {
        let mountPoint = FileManager.default.temporaryDirectory.appending(
            path: "millrace-disk-\(UUID().uuidString.prefix(8))"
        ).path
        try FileManager.default.createDirectory(atPath: mountPoint, withIntermediateDirectories: false)
        try await call("mount", "-t", "tmpfs", "-o", "size=\(size),mode=0755", "tmpfs", mountPoint)
        let disk = SmallDisk(mountPoint: mountPoint, folder: mountPoint + "/tablespace")
        guard try PrivateFile.makeFolder(disk.folder, owner: serverAccount()) else {
            throw UnexpectedOutcome(what: "\(disk.folder) exists")
        }
        return disk
    }

    /// Takes the room that ``giveRoom()`` gives back.
    func reserveRoom() throws { try Data(count: SmallDisk.reserve).write(to: URL(filePath: ballast)) }

    func giveRoom() throws { try FileManager.default.removeItem(atPath: ballast) }

    private static func call(_ name: String, _ arguments: String...) async throws {
        let outcome = try await Program(path: "/bin/\(name)").run(arguments, environment: [:])
        guard outcome.succeeded else { throw UnexpectedOutcome(what: "\(name): \(outcome.reason)") }
    }
}
