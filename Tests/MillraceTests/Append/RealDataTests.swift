import Foundation
import Millrace
import MillracePostgres
import Testing

@testable import MillraceEmbedded

/// Real events are stored and come back equal as JSON, in the file's order within each stream.
@Suite(.serialized, .timeLimit(.minutes(3)))
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
                    let event = NewEvent(type: line.type, data: JSON(encoded: line.data), occurredAt: line.occurredAt)
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
                let isEqual =
                    stored.type == line.type && stored.stream == line.stream && stored.version == versions[line.stream]
                    && (line.occurredAt == nil || stored.occurredAt == line.occurredAt)
                    && (try RealData.object(stored.data.utf8)) == line.data
                if !isEqual { Issue.record("line \(number + 1) of \(file) came back otherwise: \(stored)") }
                number += 1
            }
            #expect(number == events)
            #expect(typesSeen.count == types)
            if let streams { #expect(versions.count == streams) }
            print("RealData: \(number) events of \(typesSeen.count) types in \(versions.count) streams of \(file) are equal")
        }
    }
}

/// The files of real events beside the package.
enum RealData {
    struct Line {
        let type: String
        let stream: StreamID
        let occurredAt: Date?
        let data: NSObject
    }

    private static let folder = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "shared/data")

    static let isThere = FileManager.default.fileExists(atPath: folder.appending(path: "olist-orders.ndjson.gz").path)

    static func object(_ bytes: [UInt8]) throws -> NSObject {
        let value = try JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
        guard let object = value as? NSObject else { throw UnexpectedOutcome(what: "JSON of \(type(of: value))") }
        return object
    }
}
