import Foundation
import Testing

/// What the documents point at is there.
@Suite("the documents")
struct ArchitectureTests {
    private static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    @Test(
        "every file that a document links to exists",
        arguments: [
            "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "docs/sql-errors.md",
            "docs/ledger-format.md",
            "Examples/README.md",
        ]
    )
    func linksLead(document: String) throws {
        let text = try String(contentsOf: Self.root.appending(path: document), encoding: .utf8)
        let folder = Self.root.appending(path: document).deletingLastPathComponent()
        for link in text.matches(of: /\]\(([^)#:]+)\)/) {
            let path = folder.appending(path: String(link.1)).path
            #expect(FileManager.default.fileExists(atPath: path), "\(document) links to \(link.1)")
        }
    }

    @Test("the table of an event's life names files")
    func tableIsNotEmpty() throws {
        let text = try String(contentsOf: Self.root.appending(path: "ARCHITECTURE.md"), encoding: .utf8)
        #expect(text.matches(of: /\]\((Sources|Tests)\//).count >= 20)
    }
}
