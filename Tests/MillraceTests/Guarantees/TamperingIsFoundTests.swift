import MillracePostgres
import MillraceTesting
import Testing

@testable import Millrace

/// Whatever somebody changes of sealed events, of their chains and of what seals them, who owns the server and takes its triggers away: it is found,
/// and named. And nothing is found where nobody did.
@Suite(.serialized, .timeLimit(.minutes(30)))
struct TamperingIsFoundTests {
    private static let batches = 100

    /// What a finding says that a test holds it against.
    private struct Said: Hashable, CustomStringConvertible {
        let code: LedgerFinding.Code
        var position: Int64?
        var sealedPosition: Int64?
        var parts: [String] = []

        init(_ code: LedgerFinding.Code, _ position: Int64? = nil, from sealed: Int64? = nil, _ parts: [String] = []) {
            (self.code, self.position, sealedPosition, self.parts) = (code, position, sealed, parts)
        }

        init(_ finding: LedgerFinding) {
            self.init(finding.code, finding.position?.rawValue, from: finding.sealedPosition?.rawValue, finding.parts)
        }

        var description: String { "\(code) \(position ?? -1) \(sealedPosition ?? -1) \(parts)" }
    }

    private static func leafFindings(_ findings: [LedgerFinding]) -> Set<Said> {
        Set(findings.filter { $0.code != .brokenChain }.map(Said.init))
    }

    private static func withTamperedLedger(
        _ batches: Int = batches,
        _ body: (inout TamperedLedger) async throws -> Void
    ) async throws {
        print("seed of the tampering: \(Dice.seed)")
        try await withLedger { store, key in
            var ledger = try await TamperedLedger(store, key, batches: batches, dice: Dice(seed: Dice.seed))
            #expect(try await ledger.verify(published: ledger.published) == [])
            try await ledger.open()
            try await body(&ledger)
            #expect(try await ledger.verify(published: ledger.published) == [], "all was put right again")
        }
    }

    private static let newValues: [(column: String, value: PostgresStatement)] = [
        ("event_id", "UPDATE millrace.events SET event_id = gen_random_uuid() WHERE id = $1"),
        ("event_type", "UPDATE millrace.events SET event_type = event_type || 'x' WHERE id = $1"),
        ("aggregate_type", "UPDATE millrace.events SET aggregate_type = 'x' || aggregate_type WHERE id = $1"),
        ("aggregate_id", "UPDATE millrace.events SET aggregate_id = 'x' || aggregate_id WHERE id = $1"),
        ("version", "UPDATE millrace.events SET version = version + 100000 WHERE id = $1"),
        ("event_data", "UPDATE millrace.events SET event_data = jsonb_build_array(event_data) WHERE id = $1"),
        (
            "metadata",
            "UPDATE millrace.events SET metadata = CASE WHEN metadata IS NULL THEN '{}'::jsonb END WHERE id = $1"
        ),
        (
            "occurred_at",
            "UPDATE millrace.events SET occurred_at = occurred_at + interval '1 microsecond' WHERE id = $1"
        ),
        ("created_at", "UPDATE millrace.events SET created_at = created_at + interval '1 microsecond' WHERE id = $1"),
        ("payload", "UPDATE millrace.events SET payload = CASE WHEN payload IS NULL THEN ''::bytea END WHERE id = $1"),
        ("content_type", "UPDATE millrace.events SET content_type = coalesce(content_type, '') || 'z' WHERE id = $1"),
        (
            "previous_hash",
            "UPDATE millrace.events SET previous_hash = sha256(coalesce(previous_hash, '')) WHERE id = $1"
        ),
        ("current_hash", "UPDATE millrace.events SET current_hash = sha256(coalesce(current_hash, '')) WHERE id = $1"),
    ]

    @Test("each column of an event, and its disappearing, appearing and moving")
    func events() async throws {
        try await Self.withTamperedLedger { ledger in
            for isChained in [true, false] {
                for (column, update) in Self.newValues {
                    let position = try await ledger.pick(
                        isChained
                            ? "SELECT id FROM spare.events WHERE current_hash IS NOT NULL AND aggregate_type = 'account' ORDER BY id"
                            : "SELECT id FROM spare.events WHERE aggregate_type = 'note' ORDER BY id"
                    )
                    try await ledger.run(update, [.int8(position)])
                    let findings = try await ledger.verify(since: position, through: position)
                    #expect(
                        Self.leafFindings(findings) == [Said(.changedEvent, position, [column])],
                        "\(column) of \(position)"
                    )
                    // A hash where none belongs is a chain of its own. What says where an event stands may leave a gap in the versions of a
                    // stream that goes on in the unsealed tail, chained or not.
                    let breaks = isChained || column.hasSuffix("_hash")
                    if breaks || !["aggregate_type", "aggregate_id", "version"].contains(column) {
                        #expect(findings.contains { $0.code == .brokenChain } == breaks, "\(column) of \(position)")
                    }
                    try await ledger.restore()
                }
            }
            try await Self.disappearing(&ledger)
            try await Self.moving(&ledger)
            try await Self.rewritten(&ledger)
        }
    }

    private static func disappearing(_ ledger: inout TamperedLedger) async throws {
        let gone = try await ledger.pick("SELECT id FROM spare.events ORDER BY id")
        try await ledger.run("DELETE FROM millrace.events WHERE id = $1", [.int8(gone)])
        #expect(leafFindings(try await ledger.verify(since: gone, through: gone)) == [Said(.missingEvent, gone)])
        try await ledger.restore()

        let before = try await ledger.pick(gaps)
        for stream in ["note", "account"] {
            try await ledger.run(
                """
                INSERT INTO millrace.events (id, event_id, event_type, aggregate_type, aggregate_id, version, event_data, occurred_at, created_at)
                SELECT $1 + 1, gen_random_uuid(), 'thing.1', e.aggregate_type, e.aggregate_id, e.version + 1000000, '{}', e.occurred_at, e.created_at
                FROM spare.events AS e WHERE e.aggregate_type = $2 AND e.id <= $1 ORDER BY e.id DESC LIMIT 1
                """,
                [.int8(before), .text(stream)]
            )
            let findings = try await ledger.verify(since: before, through: before + 2)
            #expect(leafFindings(findings) == [Said(.insertedEvent, before + 1)])
            #expect(
                findings.contains { $0.code == .brokenChain && $0.position?.rawValue == before + 1 }
                    == (stream == "account")
            )
            try await ledger.restore()
        }
    }

    private static let gaps: PostgresStatement = """
        SELECT e.id FROM spare.events AS e
        WHERE NOT EXISTS (SELECT FROM spare.events AS n WHERE n.id = e.id + 1) AND e.id < (SELECT max(m.id) FROM spare.events AS m)
        ORDER BY e.id
        """

    private static func moving(_ ledger: inout TamperedLedger) async throws {
        let before = try await ledger.pick(gaps)
        try await ledger.run("UPDATE millrace.events SET id = id + 1 WHERE id = $1", [.int8(before)])
        let renumbered = Said(.changedEvent, before + 1, from: before, ["id"])
        #expect(leafFindings(try await ledger.verify(since: before, through: before + 2)) == [renumbered])
        try await ledger.restore()

        let far = try await ledger.pick("SELECT id FROM spare.events WHERE id < 1000 ORDER BY id")
        let gap = try await ledger.pick(gaps) + 1
        try await ledger.run("UPDATE millrace.events SET id = $2 WHERE id = $1", [.int8(far), .int8(gap)])
        let moved = leafFindings(try await ledger.verify())
        let passed =
            gap - 1 == far ? Said(.changedEvent, gap, from: far, ["id"]) : Said(.reorderedEvent, gap, from: far)
        #expect(moved == [passed])
        try await ledger.restore()

        let one = try await ledger.pick("SELECT id FROM spare.events WHERE aggregate_type = 'note' ORDER BY id")
        let other = try await ledger.pick("SELECT id FROM spare.events WHERE aggregate_type = 'memo' ORDER BY id")
        try await ledger.client.script(
            """
            UPDATE millrace.events SET id = -1 WHERE id = \(one);
            UPDATE millrace.events SET id = \(one) WHERE id = \(other);
            UPDATE millrace.events SET id = \(other) WHERE id = -1;
            """
        )
        let swapped: Set<Said> = [Said(.reorderedEvent, one, from: other), Said(.reorderedEvent, other, from: one)]
        #expect(leafFindings(try await ledger.verify(since: min(one, other), through: max(one, other))) == swapped)
        try await ledger.restore()

        let (data, text) = ("\(one)", "\(other)")
        try await ledger.client.script(
            """
            UPDATE millrace.events AS e
            SET event_data = jsonb_build_object('of', s.id, 'data', s.event_data)
            FROM spare.events AS s
            WHERE (e.id, s.id) IN ((\(data), \(text)), (\(text), \(data)));
            """
        )
        let changed: Set<Said> = [Said(.changedEvent, one, ["event_data"]), Said(.changedEvent, other, ["event_data"])]
        #expect(leafFindings(try await ledger.verify(since: min(one, other), through: max(one, other))) == changed)
        try await ledger.restore()
    }

    /// The end of a chain is made anew from a changed event on, with the right hashes.
    private static func rewritten(_ ledger: inout TamperedLedger) async throws {
        let from = try await ledger.pick(
            "SELECT id FROM spare.events WHERE aggregate_type = 'order' AND version > 1 ORDER BY id DESC LIMIT 5000"
        )
        let tail = try await ledger.client.query(
            """
            SELECT e.id FROM spare.events AS e
            JOIN spare.events AS f ON f.aggregate_type = e.aggregate_type AND f.aggregate_id = e.aggregate_id AND e.version >= f.version
            WHERE f.id = $1 ORDER BY e.version
            """,
            [.int8(from)]
        ).map { try $0.decode(Int64.self, at: 0) }
        try await ledger.client.script(
            """
            UPDATE millrace.events SET event_data = '{"rewritten": true}' WHERE id = \(from);
            DO $$
            DECLARE
                v_event millrace.events;
                v_hash  bytea := (SELECT previous_hash FROM millrace.events WHERE id = \(from));
            BEGIN
                FOR v_event IN
                    SELECT e.* FROM millrace.events AS e
                    JOIN spare.events AS f ON f.aggregate_type = e.aggregate_type AND f.aggregate_id = e.aggregate_id AND e.version >= f.version
                    WHERE f.id = \(from) ORDER BY e.version
                LOOP
                    UPDATE millrace.events AS e SET previous_hash = v_hash WHERE e.id = v_event.id;
                    v_hash := sha256(v_hash || millrace.canonical_form(
                        v_event.id, v_event.event_id, v_event.event_type, v_event.aggregate_type, v_event.aggregate_id, v_event.version,
                        v_event.event_data::text, v_event.metadata::text, v_event.occurred_at, v_event.created_at, v_event.payload,
                        v_event.content_type
                    ));
                    UPDATE millrace.events AS e SET current_hash = v_hash WHERE e.id = v_event.id;
                END LOOP;
                UPDATE millrace.streams AS s SET head_hash = v_hash
                FROM spare.events AS f
                WHERE f.id = \(from) AND s.aggregate_type = f.aggregate_type AND s.aggregate_id = f.aggregate_id;
            END
            $$;
            """
        )
        let findings = try await ledger.verify(since: from)
        #expect(!findings.contains { $0.code == .brokenChain }, "the chain itself holds")
        var said: Set<Said> = []
        for position in tail {
            said.insert(
                Said(
                    .changedEvent,
                    position,
                    position == from ? ["event_data", "current_hash"] : ["previous_hash", "current_hash"]
                )
            )
        }
        #expect(leafFindings(findings) == said)
        try await ledger.restore()
    }

    @Test("each column of a block, of leaves and of nodes, blocks of somebody else and blocks that are gone")
    func ledgerItself() async throws {
        try await Self.withTamperedLedger(20) { ledger in
            let last = try await ledger.client.query("SELECT max(number) FROM spare.ledger_blocks").single().decode(
                Int64.self,
                at: 0
            )
            for (column, change) in [
                ("previous_hash", "sha256(previous_hash)"), ("block_hash", "sha256(block_hash)"),
                ("first_position", "first_position - 1"),
                ("last_position", "last_position - 1"), ("tree_size", "tree_size - 1"),
                ("root_hash", "sha256(root_hash)"),
                ("sealed_at", "sealed_at + interval '1 microsecond'"), ("first_leaf", "first_leaf - 1"),
                ("number", "number + 100000"),
            ] {
                for number in [Int64.random(in: 2..<last, using: &ledger.dice), last] {
                    try await ledger.client.script(
                        "UPDATE millrace.ledger_blocks SET \(column) = \(change) WHERE number = \(number)"
                    )
                    let findings = try await ledger.verify()
                    #expect(
                        !findings.isEmpty && findings.allSatisfy { $0.code == .brokenBlock },
                        "\(column) of \(number): \(findings)"
                    )
                    if column != "number" {
                        let part = column == "root_hash" ? "root" : column
                        #expect(
                            findings.count == 1 && findings.first?.block == Int(number)
                                && findings.first?.parts == [part],
                            "\(column) of \(number): \(findings)"
                        )
                    }
                    try await ledger.restoreLedger()
                }
            }
            try await Self.signatures(&ledger, last)
            try await Self.leaves(&ledger)
            try await Self.gone(&ledger, last)
        }
    }

    private static func signatures(_ ledger: inout TamperedLedger, _ last: Int64) async throws {
        let number = Int64.random(in: 1..<last, using: &ledger.dice)
        try await ledger.client.script(
            "UPDATE millrace.ledger_blocks SET signature = sha512(signature) WHERE number = \(number)"
        )
        let unsigned = try await ledger.verify()
        #expect(unsigned.map(\.code) == [.badSignature] && unsigned.first?.block == Int(number))
        try await ledger.restoreLedger()

        // The last block, made anew by somebody else: nothing but the signature and what was published can tell.
        let reader = LedgerVerificationReader(client: ledger.client)
        let row = try #require(try await reader.blocks(from: Int(last), to: Int(last)).first)
        let other = try LedgerSigningKey.generate(name: ledger.key.name)
        let block = LedgerBlock(
            number: row.block.number,
            previous: row.block.previous,
            first: row.block.first,
            last: row.block.last,
            size: row.block.size,
            root: row.block.root,
            sealedAt: row.block.sealedAt + 1
        )
        let note = try LedgerCheckpoint(origin: ledger.key.name, block).signed(by: other)
        try await ledger.run(
            """
            UPDATE millrace.ledger_blocks SET sealed_at = sealed_at + interval '1 microsecond', block_hash = $2, signature = $3 WHERE number = $1
            """,
            [.int8(last), .bytea(block.hash.bytes), .bytea(note.signatures[0].bytes)]
        )
        #expect(try await ledger.verify().map(\.code) == [.badSignature])
        #expect(
            try await ledger.verify(published: ledger.published).map(\.code.rawValue).sorted() == [
                "bad_signature", "forked_checkpoint",
            ]
        )
        // And the same with a key that the database says is the ledger's: who has kept the right one is not misled.
        let asOther = try await ledger.verify(trusting: LedgerKeyring([other.verifierKey]))
        #expect(asOther.contains { $0.code == .badSignature })
        try await ledger.restoreLedger()
    }

    private static func leaves(_ ledger: inout TamperedLedger) async throws {
        for (column, change) in [
            ("positions", "positions[1:cardinality(positions) - 1] || (positions[cardinality(positions)] + 1)"),
            ("leaf_hashes", "set_byte(leaf_hashes, 40, 255 - get_byte(leaf_hashes, 40))"),
            ("column_digests", "set_byte(column_digests, 30, 255 - get_byte(column_digests, 30))"),
        ] {
            let run = try await ledger.pick(
                "SELECT first_leaf FROM spare.ledger_leaves WHERE cardinality(positions) > 2 ORDER BY first_leaf"
            )
            try await ledger.client.script(
                "UPDATE millrace.ledger_leaves SET \(column) = \(change) WHERE first_leaf = \(run)"
            )
            let findings = try await ledger.verify()
            // A position that is moved out of the end of its block is one that the next block has as well.
            #expect(
                (1...(column == "positions" ? 2 : 1)).contains(findings.count)
                    && findings.allSatisfy { $0.code == .brokenBlock && $0.parts == [column] },
                "\(column) of \(run): \(findings)"
            )
            try await ledger.restoreLedger()
        }
        let run = try await ledger.pick("SELECT first_leaf FROM spare.ledger_leaves ORDER BY first_leaf")
        for change in [
            "DELETE FROM millrace.ledger_leaves", "UPDATE millrace.ledger_leaves SET first_leaf = first_leaf + 1",
        ] {
            try await ledger.client.script("\(change) WHERE first_leaf = \(run)")
            let findings = try await ledger.verify()
            #expect(
                !findings.isEmpty && findings.allSatisfy { $0.code == .brokenBlock },
                "\(change) \(run): \(findings)"
            )
            try await ledger.restoreLedger()
        }
        let node = try await ledger.pick("SELECT index FROM spare.ledger_nodes WHERE level = 1 ORDER BY index")
        for change in ["DELETE FROM millrace.ledger_nodes", "UPDATE millrace.ledger_nodes SET hash = sha256(hash)"] {
            try await ledger.client.script("\(change) WHERE level = 1 AND index = \(node)")
            let findings = try await ledger.verify()
            #expect(
                findings.map(\.code) == [.brokenBlock] && findings.first?.parts == ["node 1/\(node)"],
                "\(change): \(findings)"
            )
            try await ledger.restoreLedger()
        }
    }

    private static func gone(_ ledger: inout TamperedLedger, _ last: Int64) async throws {
        try await ledger.client.script("DELETE FROM millrace.ledger_blocks WHERE number = \(last)")
        let withLeaves = try await ledger.verify(published: ledger.published)
        #expect(withLeaves.map(\.code.rawValue).sorted() == ["broken_block", "forked_checkpoint"], "\(withLeaves)")
        try await ledger.client.script(
            """
            DELETE FROM millrace.ledger_leaves WHERE first_leaf >= (SELECT max(tree_size) FROM millrace.ledger_blocks);
            DELETE FROM millrace.ledger_nodes WHERE (index + 1) << (8 * level) > (SELECT max(tree_size) FROM millrace.ledger_blocks);
            """
        )
        #expect(try await ledger.verify() == [], "without a checkpoint elsewhere nobody can know")
        #expect(try await ledger.verify(published: ledger.published).map(\.code) == [.forkedCheckpoint])
        try await ledger.restoreLedger()

        let middle = Int64.random(in: 2..<last, using: &ledger.dice)
        try await ledger.client.script("DELETE FROM millrace.ledger_blocks WHERE number = \(middle)")
        let missing = try await ledger.verify()
        #expect(
            missing.map(\.code) == [.brokenBlock] && missing.first?.parts == ["missing"]
                && missing.first?.block == Int(middle)
        )
        try await ledger.restoreLedger()
    }
}
