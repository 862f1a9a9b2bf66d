import Foundation
import Logging
import MillraceEmbedded
import Subprocess
import Synchronization

#if canImport(Darwin)
    import Darwin
    import System
#elseif canImport(Musl)
    import Musl
    import SystemPackage
#else
    import Glibc
    import SystemPackage
#endif

/// The temporary folder of a test server, which does not outlive the process that made it.
struct TestFolder: Sendable {
    let path: String
    /// Held by the living maker, so that nobody sweeps the folder.
    private let owner: FileLock
    /// Open as long as this process lives; the guard waits for its end.
    private let lifeline: FileDescriptor

    private static let prefix = "millrace-server-"
    /// The folders of this process: they keep their locks until it ends, whoever still knows of them.
    private static let living = Mutex<[String: TestFolder]>([:])

    /// A new one, with its guard; leftovers of dead processes are removed first.
    static func make(logger: Logger) async throws -> TestFolder {
        let parent = FileManager.default.temporaryDirectory.path
        await sweep(parent, logger: logger)
        let path = "\(parent)/\(prefix)\(String(UInt64.random(in: .min ... .max), radix: 16))"
        // The account that runs the server for root passes through it.
        try FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o711]
        )
        guard let owner = try FileLock.take(.exclusive, on: path + "/owner.lock") else {
            throw EmbeddedPostgresError.busy(folder: path, waited: .zero)
        }
        let (reading, writing) = try FileDescriptor.pipe()
        _ = fcntl(reading.rawValue, F_SETFD, FD_CLOEXEC)
        _ = fcntl(writing.rawValue, F_SETFD, FD_CLOEXEC)
        startGuard(of: path, waitingFor: reading)
        let folder = TestFolder(path: path, owner: owner, lifeline: writing)
        living.withLock { $0[path] = folder }
        return folder
    }

    /// Lets the guard remove it now.
    func close() throws {
        guard Self.living.withLock({ $0.removeValue(forKey: path) }) != nil else { return }
        try lifeline.close()
    }

    func configuration(_ durability: TestServer.Durability) -> EmbeddedConfiguration {
        Self.configuration(of: path, durability)
    }

    private static func configuration(
        of path: String,
        _ durability: TestServer.Durability = .relaxed
    ) -> EmbeddedConfiguration {
        var configuration = EmbeddedConfiguration(dataDirectory: path + "/data")
        if durability == .relaxed { configuration.settings["fsync"] = "off" }
        return configuration
    }

    /// Removes what dead test processes left. Whoever lives holds the lock of his folder; one without a lock is being
    /// made.
    private static func sweep(_ parent: String, logger: Logger) async {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? []
        for name in names where name.hasPrefix(prefix) {
            let path = parent + "/" + name
            guard FileManager.default.fileExists(atPath: path + "/data/format"),
                let dead = try? FileLock.take(.exclusive, on: path + "/owner.lock")
            else { continue }
            defer { withExtendedLifetime(dead) {} }
            do {
                try await EmbeddedPostgres.stop(.immediate, serverOf: configuration(of: path), logger: logger)
                try remove(path)
            } catch CocoaError.fileNoSuchFile {
                // Its own guard, or another sweeper, is removing it in this very moment.
            } catch {
                logger.warning("The leftovers of a test in \(path) could not be removed: \(error)")
            }
        }
    }

    /// A guard may be removing the same folder: what it took away between our look and our hand is no failure.
    private static func remove(_ path: String) throws {
        let cluster = path + "/data/postgres"
        let elsewhere = try? FileManager.default.destinationOfSymbolicLink(atPath: cluster)
        for place in [elsewhere, path].compactMap({ $0 }) {
            for attempt in 1...removalAttempts where FileManager.default.fileExists(atPath: place) {
                do {
                    try FileManager.default.removeItem(atPath: place)
                } catch  where attempt < removalAttempts {
                    continue
                }
            }
        }
    }

    private static let removalAttempts = 20

    /// In a session of its own, so that what kills the tests from a terminal leaves it to do its work.
    private static func startGuard(of path: String, waitingFor lifeline: FileDescriptor) {
        var options = PlatformOptions()
        options.createSession = true
        // It ends after this process does, so nobody ever waits for this task.
        Task { [options] in
            try await Subprocess.run(
                .path("/bin/sh"),
                arguments: ["-c", guardScript, "millrace-test-guard", path],
                workingDirectory: "/",
                platformOptions: options,
                input: .fileDescriptor(lifeline, closeAfterSpawningProcess: true),
                output: .discarded,
                error: .discarded
            )
        }
    }

    /// Waits for the end of its input, then for the end of the server, for ten seconds at most. The process that the
    /// server's file names is only believed where its command line names the server's data.
    private static let guardScript = """
        cat
        cluster=$(cd "$1/data/postgres" && pwd -P) || { rm -rf "$1"; exit; }
        { read -r pid && read -r _ && read -r _ && read -r _ && read -r socket; } <"$cluster/postmaster.pid"
        command=$(ps -o command= -p "$pid" || tr '\\0' ' ' <"/proc/$pid/cmdline")
        case $command in
        *"$cluster"*)
            kill -QUIT "$pid"
            turns=0
            while [ -e "$cluster/postmaster.pid" ] && [ "$turns" -lt 100 ]; do
                sleep 0.1
                turns=$((turns + 1))
            done
            ;;
        esac
        rm -rf "$1" "$cluster"
        case $socket in /tmp/millrace-*) rm -rf "$socket" ;; esac
        """
}
