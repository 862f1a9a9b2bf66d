import Foundation
import Millrace
import MillracePostgres
import Testing

@testable import MillraceEmbedded

/// Real events are stored and come back equal as JSON, in the file's order within each stream.
@Suite(.serialized, .timeLimit(.minutes(15)))
struct RealDataTests {
    private static let lotSize = 2_000

    @Test(
        .enabled(if: RealData.isThere, "there is no folder ../shared/data beside the package"),
        arguments: [
            (file: "olist-orders", events: 54_395, streams: 8_135, types: 9),
            (file: "github-webhooks", events: 255, streams: nil, types: 159),
        ]
    )
    func comesBackAsItWas(file: String, events: Int, streams: Int?, types: Int) async throws {
        try await withStore { store in
            let lines = try await RealData.lines(of: file)
            #expect(lines.count == events)
            for start in stride(from: 0, to: lines.count, by: Self.lotSize) {
                var request = AppendRequest()
                for line in lines[start..<min(start + Self.lotSize, lines.count)] {
                    let event = NewEvent(type: line.type, data: JSON(utf8: line.data), occurredAt: line.occurredAt)
                    request.append([event], to: line.stream)
                }
                try await store.append(request)
            }

            var number = 0
            var versions: [StreamID: Int] = [:]
            var typesSeen: Set<String> = []
            for try await stored in store.readAll() {
                let line = lines[number]
                versions[line.stream, default: 0] += 1
                typesSeen.insert(stored.type)
                let (data, original) = (try RealData.object(stored.data.utf8), try RealData.object(line.data))
                let isEqual =
                    stored.type == line.type && stored.stream == line.stream && stored.version == versions[line.stream]
                    && (line.occurredAt == nil || stored.occurredAt == line.occurredAt)
                    && data == original
                if !isEqual { Issue.record("line \(number + 1) of \(file) came back otherwise: \(stored)") }
                number += 1
            }
            #expect(number == events)
            #expect(typesSeen.count == types)
            if let streams { #expect(versions.count == streams) }
            print(
                "RealData: \(number) events of \(typesSeen.count) types in \(versions.count) streams of \(file) are equal"
            )
        }
    }
}

/// The files of real events beside the package.
enum RealData {
    struct Line {
        let type: String
        let stream: StreamID
        let occurredAt: Date?
        /// As the file has it.
        let data: [UInt8]
    }

    private struct Head: Decodable {
        let eventType: String
        let aggregateType: String
        let aggregateId: String
        let occurredAt: String?
    }

    /// MILLRACE_TEST_DATA, else the folder beside the package.
    private static let folder =
        ProcessInfo.processInfo.environment["MILLRACE_TEST_DATA"].map { URL(filePath: $0) }
        ?? URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../../shared/data").standardized

    static let isThere = FileManager.default.fileExists(atPath: folder.appending(path: "olist-orders.ndjson.gz").path)

    static func path(of file: String) -> String { folder.appending(path: "\(file).ndjson.gz").path }

    static func lines(of file: String) async throws -> [Line] {
        let unpacked = FileManager.default.temporaryDirectory.appending(path: "millrace-\(UUID()).ndjson")
        defer { try? FileManager.default.removeItem(at: unpacked) }
        let outcome = try await Program(path: "/bin/sh").run(
            ["-c", #"gunzip -c "$0" > "$1""#, path(of: file), unpacked.path],
            environment: Program.environment(from: ProcessInfo.processInfo.environment)
        )
        guard outcome.succeeded else { throw UnexpectedOutcome(what: outcome.reason) }
        return try Data(contentsOf: unpacked).split(separator: UInt8(ascii: "\n")).map { try line($0) }
    }

    /// The data are the last field: their bytes are taken as they are, between their name and the line's last brace.
    private static func line(_ text: Data) throws -> Line {
        guard let name = text.firstRange(of: Data(#""event_data":"#.utf8)) else {
            throw UnexpectedOutcome(what: String(decoding: text.prefix(100), as: UTF8.self))
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let head = try decoder.decode(Head.self, from: text[..<name.lowerBound].dropLast() + Data("}".utf8))
        return Line(
            type: head.eventType,
            stream: StreamID(head.aggregateType, head.aggregateId),
            occurredAt: head.occurredAt.flatMap { Date(rfc3339: $0) },
            data: Array(text[name.upperBound...].dropLast())
        )
    }

    static func object(_ bytes: [UInt8]) throws -> NSObject {
        let value = try JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
        guard let object = value as? NSObject else { throw UnexpectedOutcome(what: "JSON of \(type(of: value))") }
        return object
    }
}
