import MillracePostgres

/// One verification under way. Used by one task; its workers get and give values only.
final class LedgerVerificationRun {
    let options: LedgerVerification
    let reader: LedgerVerificationReader
    private var state: LedgerVerificationState
    /// The state between two units or pages, to go on from.
    private(set) var settled: LedgerVerificationState
    private let start: Start
    private var chain: LedgerBlockChain
    private var growth: LedgerGrowth
    private var source: LedgerBlockSource
    private var publishedCount = 0
    private var keptAt = ContinuousClock.now

    /// Where the ledger ends when the verification begins.
    private struct Start {
        let origin: String
        private(set) var lastBlock: Int
        private(set) var size: Int
        private(set) var leafEnd: Int
        private(set) var hasMoreNodes: Bool

        /// Ends with a block, and says nothing of what is behind it.
        mutating func end(with row: LedgerBlockRow) {
            (lastBlock, size, leafEnd, hasMoreNodes) = (row.block.number, row.block.size, row.block.size, false)
        }

        init(_ row: PostgresRow) throws {
            origin = try row.decode(String.self, at: 0)
            lastBlock = try row.decode(Int.self, at: 1)
            size = try row.decode(Int.self, at: 2)
            leafEnd = try row.decode(Int.self, at: 3)
            hasMoreNodes = try row.decode(Bool.self, at: 4)
        }
    }

    init(_ options: LedgerVerification, from kept: LedgerVerificationState?) async throws {
        self.options = options
        let reader = LedgerVerificationReader(client: options.store.client)
        self.reader = reader
        guard let row = try await reader.rows(LedgerVerificationReader.start).first else {
            throw LedgerVerificationError.noLedger
        }
        var start = try Start(row)
        if let through = options.through {
            let number = try await reader.block(reaching: .position(through), upTo: start.lastBlock)
            if let number, let last = try await reader.blocks(from: number, to: number).first { start.end(with: last) }
        }
        self.start = start
        guard start.lastBlock > 0 || !options.published.isEmpty else { throw LedgerVerificationError.nothingSealed }
        let keys = try await LedgerVerificationKeys.read(options.keyring, reader)
        var state: LedgerVerificationState
        if let kept {
            state = try await LedgerVerificationRun.checked(kept, start, options, reader)
        } else {
            state = LedgerVerificationState(
                origin: start.origin,
                since: options.since.map { "\($0)" },
                firstBlock: 1,
                firstPosition: .min,
                firstLeaf: 0,
                number: 0,
                blockHash: nil,
                links: [LedgerHash.zero.hex],
                size: 0,
                position: .min,
                findings: LedgerFindings(limit: options.findingLimit)
            )
            for finding in keys.findings { state.findings.add(finding) }
        }
        var frontier =
            MerkleFrontier(size: state.size, peaks: state.peaks.compactMap { LedgerHash(hex: $0) }) ?? MerkleFrontier()
        if kept == nil, let since = options.since {
            frontier = try await LedgerVerificationRun.begin(since, start, keys, &state, reader)
        }
        var checkpoints: [LedgerCheckpoint] = []
        for note in options.published {
            do throws(LedgerNoteError) { checkpoints.append(try keys.ring.checkpoint(note)) } catch {
                state.findings.addOnce(
                    LedgerFinding(
                        .badSignature,
                        parts: ["published"],
                        "a published checkpoint is not to be trusted: \(error)"
                    )
                )
            }
        }
        publishedCount = checkpoints.count
        for checkpoint in checkpoints where !LedgerText.areEqual(checkpoint.origin, start.origin) {
            state.findings.addOnce(.fork(checkpoint, ["origin"]))
        }
        checkpoints = checkpoints.filter { LedgerText.areEqual($0.origin, start.origin) }
        self.state = state
        settled = state
        chain = LedgerBlockChain(
            origin: start.origin,
            keys: keys.numbered,
            leafEnd: start.leafEnd,
            number: state.number,
            size: state.size,
            position: state.position,
            links: state.links.compactMap { LedgerHash(hex: $0) }
        )
        growth = LedgerGrowth(
            frontier: frontier,
            isLost: state.isLost,
            isRootWrong: state.isRootWrong,
            published: checkpoints
        )
        source = LedgerBlockSource(next: state.number == 0 ? .min : state.number + 1, last: start.lastBlock)
        try await compareEarlier(checkpoints.filter { $0.size <= frontier.size })
    }

    // MARK: Where it begins

    private static func checked(
        _ kept: LedgerVerificationState,
        _ start: Start,
        _ options: LedgerVerification,
        _ reader: LedgerVerificationReader
    ) async throws -> LedgerVerificationState {
        guard kept.form == LedgerVerificationState.form else {
            throw LedgerVerificationError.stateOfAnother("it has another form")
        }
        guard LedgerText.areEqual(kept.origin, start.origin) else {
            throw LedgerVerificationError.stateOfAnother("it is of the ledger \(kept.origin)")
        }
        guard kept.since == options.since.map({ "\($0)" }) else {
            throw LedgerVerificationError.stateOfAnother("it began somewhere else")
        }
        guard let hash = kept.blockHash else { return kept }
        let row = try await reader.blocks(from: kept.number, to: kept.number).first
        guard row?.storedHash.hex == hash else {
            throw LedgerVerificationError.stateOfAnother(
                "block \(kept.number) is another one than that which was verified"
            )
        }
        return kept
    }

    /// The tree in front of the block that holds it, from what is stored, and held against the block before.
    private static func begin(
        _ since: LedgerVerification.Since,
        _ start: Start,
        _ keys: LedgerVerificationKeys,
        _ state: inout LedgerVerificationState,
        _ reader: LedgerVerificationReader
    ) async throws -> MerkleFrontier {
        guard let first = try await reader.block(reaching: since, upTo: start.lastBlock) else {
            throw LedgerVerificationError.nothingSince
        }
        state.firstBlock = first
        guard first > 1, let before = try await reader.blocks(from: first - 1, to: first - 1).first else {
            return MerkleFrontier()
        }
        var chain = LedgerBlockChain(
            origin: start.origin,
            keys: keys.numbered,
            leafEnd: .max,
            number: first - 2,
            size: before.firstLeaf,
            position: before.block.first.rawValue - 1,
            links: []
        )
        let extent = chain.extents(of: before, before: nil).last
        let size = before.block.size
        state.number = first - 1
        state.size = size
        state.firstLeaf = size
        state.position = before.block.last.rawValue
        state.firstPosition = state.position
        state.links = chain.links.map(\.hex)
        state.blockHash = before.storedHash.hex
        var parts = extent?.broken ?? []
        if let detail = extent?.badSignature {
            state.findings.add(LedgerFinding(.badSignature, block: first - 1, parts: ["signature"], detail))
        }
        if extent?.isHashed == false, parts.isEmpty { parts = ["header"] }
        var frontier: MerkleFrontier?
        do {
            let stored = try await reader.reading { try await LedgerTables(session: $0).frontier(size: size) }
            if stored.root == before.block.root { frontier = stored }
        } catch is MerkleHashesMissing {}
        if frontier == nil {
            parts.append("nodes")
            state.isLost = true
        }
        if !parts.isEmpty { state.findings.add(.broken(first - 1, parts)) }
        return frontier ?? MerkleFrontier()
    }

    /// Published checkpoints in front of where this begins: what is stored must prove that they were continued.
    private func compareEarlier(_ checkpoints: [LedgerCheckpoint]) async throws {
        for checkpoint in checkpoints where checkpoint.size > 0 {
            let size = growth.frontier.size
            var isContinued = false
            do {
                let plan = ConsistencyProof.plan(from: checkpoint.size, to: size)
                let hashes = try await reader.reading { try await LedgerTables(session: $0).hashes(for: plan) }
                let proof = try ConsistencyProof(from: checkpoint.size, to: size, stored: hashes)
                isContinued = proof.proves(checkpoint.root, continuedBy: growth.frontier.root)
            } catch is MerkleHashesMissing {}
            let row = try await reader.blocks(from: checkpoint.block, to: checkpoint.block).first
            var parts = isContinued ? [] : ["root"]
            if row?.block.hash != checkpoint.blockHash { parts.append("block") }
            if !parts.isEmpty { state.findings.addOnce(.fork(checkpoint, parts)) }
        }
    }

    // MARK: Blocks

    func blocks(
        _ look: (LedgerVerification.Progress) throws -> Void,
        _ keep: (LedgerVerificationState) throws -> Void
    ) async throws {
        guard !state.areBlocksDone else { return }
        let reader = reader
        try await withThrowingTaskGroup(of: (number: Int, report: LedgerUnitReport).self) { group in
            var waiting: [Int: LedgerUnitReport] = [:]
            var (started, running, taken) = (0, 0, 0)
            var isExhausted = false
            while true {
                while !isExhausted, running < options.workers, started - taken < 2 * options.workers {
                    guard let unit = try await nextUnit() else {
                        isExhausted = true
                        break
                    }
                    let number = started
                    group.addTask { (number, try await LedgerUnitComparison.run(unit, reader)) }
                    (started, running) = (started + 1, running + 1)
                }
                guard running > 0, let done = try await group.next() else { break }
                running -= 1
                waiting[done.number] = done.report
                while let report = waiting.removeValue(forKey: taken) {
                    try await settle(report)
                    taken += 1
                    try look(progress(.blocks))
                    try keepNowAndThen(keep)
                }
            }
        }
        try await finishBlocks()
        settled = state
        try keep(settled)
    }

    private func nextUnit() async throws -> LedgerUnit? {
        var unit = LedgerUnit()
        while !unit.isFull, let (row, next) = try await source.take(reader) {
            for extent in chain.extents(of: row, before: next) { unit.add(extent) }
        }
        return unit.extents.isEmpty ? nil : unit
    }

    private func progress(_ phase: LedgerVerification.Progress.Phase) -> LedgerVerification.Progress {
        LedgerVerification.Progress(
            phase: phase,
            events: phase == .blocks ? state.events : state.chainedEvents,
            total: phase == .blocks ? start.size - state.firstLeaf : nil,
            findings: state.findings.count + state.suspects.all.count
        )
    }

    private func keepNowAndThen(_ keep: (LedgerVerificationState) throws -> Void) throws {
        let now = ContinuousClock.now
        guard now - keptAt >= options.stateInterval else { return }
        keptAt = now
        try keep(settled)
    }

    private func settle(_ report: LedgerUnitReport) async throws {
        var suspects: [Int: [LedgerSuspect]] = [:]
        for suspect in report.suspects {
            let place = report.extents.firstIndex { $0.covers(suspect.position) } ?? report.extents.count - 1
            suspects[place, default: []].append(suspect)
        }
        for (place, extent) in report.extents.enumerated() {
            try await settle(extent, place, report, suspects[place] ?? [])
        }
        try await compareNodes()
        for fork in growth.takeForks() { state.findings.addOnce(fork) }
        state.events += report.hashes.count
        state.chainedTypes = Set(state.chainedTypes).union(report.chainedTypes).sorted()
        state.peaks = growth.frontier.peaks.map(\.hex)
        state.isLost = growth.isLost
        state.isRootWrong = growth.isRootWrong
        settled = state
    }

    private func settle(
        _ extent: LedgerExtent,
        _ place: Int,
        _ report: LedgerUnitReport,
        _ suspects: [LedgerSuspect]
    ) async throws {
        let slots = (extent.leaves.lowerBound - report.firstLeaf)..<(extent.leaves.upperBound - report.firstLeaf)
        let hashes = Array(report.hashes[slots])
        var defects = report.defects[place] ?? []
        var suspects = suspects
        var parts = extent.broken
        if extent.block != nil, let first = report.positions[slots].first, let last = report.positions[slots].last {
            if first != extent.block?.first.rawValue {
                if extent.isHashed { defects.insert("positions") } else { parts.append("first_position") }
            }
            if last != extent.block?.last.rawValue {
                if extent.isHashed { defects.insert("positions") } else { parts.append("last_position") }
            }
        }
        let wasWrong = growth.isRootWrong
        var grown = growth
        var isRight = grown.add(hashes, of: extent)
        if extent.isIntact, !suspects.isEmpty || !defects.isEmpty || grown.isRootWrong || grown.isLost {
            let fresh = try await LedgerRescan.hashes(of: extent, reader)
            if growth.reaches(extent, with: fresh) {
                // The events are those that were signed: what is kept of the leaves is not.
                grown = growth
                isRight = grown.add(fresh, of: extent)
                // A leaf at another one's position differs from the event there.
                if !defects.contains("positions"), suspects.contains(where: { $0.kind == .differs }) {
                    defects.insert("leaf_hashes")
                }
                if suspects.contains(where: { $0.kind != .differs }),
                    defects.isDisjoint(with: ["leaves", "first_leaf"])
                {
                    defects.insert("positions")
                }
                suspects = []
            }
        }
        growth = grown
        parts += defects.sorted()
        if !isRight, !wasWrong { parts.append("root") }
        if !extent.isHashed, parts.isEmpty { parts = ["sealed_at"] }
        finish(extent, parts, suspects)
    }

    private func finish(_ extent: LedgerExtent, _ parts: [String], _ suspects: [LedgerSuspect]) {
        if !parts.isEmpty { state.findings.add(.broken(extent.number, parts)) }
        if let detail = extent.badSignature {
            state.findings.add(LedgerFinding(.badSignature, block: extent.number, parts: ["signature"], detail))
        }
        for suspect in suspects where !state.suspects.add(suspect) { state.findings.add(LedgerSuspects.alone(suspect)) }
        guard !extent.leaves.isEmpty else { return }
        state.blocks += 1
        state.number = extent.number
        state.size = extent.leaves.upperBound
        state.position = extent.upper
        if let block = extent.block {
            let stored = extent.storedHash ?? block.hash
            state.blockHash = stored.hex
            state.links = (extent.isHashed ? [stored] : [stored, block.hash]).map(\.hex)
        } else {
            (state.blockHash, state.links) = (nil, [])
        }
    }

    private func compareNodes() async throws {
        let nodes = growth.takeNodes()
        guard !nodes.isEmpty else { return }
        let parameters: [PostgresValue] = [
            .int4Array(nodes.map { Int32($0.node.level) }), .int8Array(nodes.map { Int64($0.node.index) }),
        ]
        var stored: Set<MerkleNode> = []
        for row in try await reader.rows(LedgerVerificationReader.nodes, parameters) {
            guard let hash = LedgerHash(try row.decode([UInt8].self, at: 2)) else { continue }
            stored.insert(
                MerkleNode(
                    level: Int(try row.decode(Int16.self, at: 0)),
                    index: try row.decode(Int.self, at: 1),
                    hash: hash
                )
            )
        }
        for (block, node) in nodes where !stored.contains(node) {
            state.findings.add(.broken(block, ["node \(node.level)/\(node.index)"]))
        }
    }

    private func finishBlocks() async throws {
        var parts: [String] = []
        if start.leafEnd > state.size { parts.append("leaves") }
        if start.hasMoreNodes { parts.append("nodes") }
        if !parts.isEmpty { state.findings.add(.broken(state.number + 1, ["missing"] + parts)) }
        for fork in growth.finish() { state.findings.addOnce(fork) }
        let verdict = state.suspects.verdict()
        for finding in verdict.findings { state.findings.add(finding) }
        for move in verdict.moves {
            let (low, high) = (min(move.from.position, move.to.position), max(move.from.position, move.to.position))
            let passes = try await reader.rows(LedgerVerificationReader.between, [.int8(low), .int8(high)]).single()
                .decode(Bool.self, at: 0)
            state.findings.add(
                passes ? LedgerSuspects.reordered(move.to, from: move.from) : LedgerSuspects.renumbered(move)
            )
        }
        state.suspects = LedgerSuspects()
        state.areBlocksDone = true
    }

    // MARK: Chains

    private static let headsAtOnce = 1000
    private static let tailLimit = 1000

    func chains(
        _ look: (LedgerVerification.Progress) throws -> Void,
        _ keep: (LedgerVerificationState) throws -> Void
    ) async throws {
        let declared = try await reader.rows(LedgerVerificationReader.types).flatMap {
            try $0.decode([String].self, at: 0)
        }
        // What the database says is declared may be less than what was.
        for type in Set(declared + state.chainedTypes).sorted() where !state.typesDone.contains(type) {
            try await chain(of: type, look, keep)
            if options.since == nil { try await eventless(type) }
            state.typesDone.append(type)
            state.cursor = .init()
            settled = state
        }
        try await tail()
    }

    private func chain(
        of type: String,
        _ look: (LedgerVerification.Progress) throws -> Void,
        _ keep: (LedgerVerificationState) throws -> Void
    ) async throws {
        var walk = LedgerChainWalk()
        var cursor = state.cursor
        let before = state.chainedEvents
        let limit = LedgerVerificationReader.pageEvents
        while true {
            try Task.checkCancellation()
            var parameters: [PostgresValue] = [
                .text(type), .text(cursor.aggregateID), .int4(cursor.version), .int8(cursor.position),
                .int8(Int64(limit)),
            ]
            let isPart = options.since != nil
            if isPart {
                parameters += [.int8(state.firstPosition), .int8(options.through == nil ? .max : state.position)]
            }
            let rows = try await reader.rows(
                isPart ? LedgerVerificationReader.chainsSince : LedgerVerificationReader.chains,
                parameters
            )
            for row in rows {
                if let finding = try walk.step(row, hasPredecessor: isPart) { state.findings.addOnce(finding) }
            }
            if rows.count < limit { walk.finishStream() }
            let ended = walk.takeEnded()
            try await heads(of: type, ended)
            if let last = ended.last {
                state.cursor = .init(aggregateID: last.aggregateID, version: .max, position: .max)
            }
            state.chainedEvents = before + walk.chained
            settled = state
            try look(progress(.chains))
            try keepNowAndThen(keep)
            guard rows.count == limit, let last = rows.last else { return }
            cursor = .init(
                aggregateID: try last.decode(String.self, at: 4),
                version: try last.decode(Int32.self, at: 5),
                position: try last.decode(Int64.self, at: 0)
            )
        }
    }

    private func heads(of type: String, _ ended: [LedgerChainWalk.Ended]) async throws {
        for start in stride(from: 0, to: ended.count, by: LedgerVerificationRun.headsAtOnce) {
            let streams = ended[start..<min(start + LedgerVerificationRun.headsAtOnce, ended.count)]
            let broken = Set(streams.filter(\.isBroken).map { StreamID(type, $0.aggregateID) })
            let parameters: [PostgresValue] = [.text(type), .textArray(streams.map(\.aggregateID))]
            for row in try await reader.rows(LedgerVerificationReader.heads, parameters) {
                let stream = StreamID(type, try row.decode(String.self, at: 0))
                if let finding = try LedgerVerificationRun.head(stream, row, isBroken: broken.contains(stream)) {
                    state.findings.add(finding)
                }
            }
        }
    }

    /// What is wrong with what a stream says of its last event.
    private static func head(_ stream: StreamID, _ row: PostgresRow, isBroken: Bool) throws -> LedgerFinding? {
        let version = try row.decode(Int32?.self, at: 1)
        let last = try row.decode(Int32?.self, at: 3)
        let head = try row.decode([UInt8]?.self, at: 2)
        let hash = try row.decode([UInt8]?.self, at: 4)
        var parts: [String] = []
        if version != last { parts.append("stream_version") }
        // Where the last event is broken it has been said, and neither hash is the right one to compare with.
        if head != hash, !isBroken { parts.append("head_hash") }
        guard !parts.isEmpty else { return nil }
        return LedgerFinding(
            .brokenChain,
            at: try row.decode(Int64?.self, at: 5),
            of: LedgerEventPlace(
                aggregateType: stream.aggregateType,
                aggregateID: stream.aggregateID,
                version: Int(version ?? last ?? 0)
            ),
            parts: parts,
            "the stream \(stream) does not end with its last event: \(parts.joined(separator: ", "))"
        )
    }

    private func eventless(_ type: String) async throws {
        var after = ""
        while true {
            let limit = LedgerVerificationRun.headsAtOnce
            let rows = try await reader.rows(
                LedgerVerificationReader.eventless,
                [.text(type), .text(after), .int8(Int64(limit))]
            )
            for row in rows {
                after = try row.decode(String.self, at: 0)
                let place = LedgerEventPlace(
                    aggregateType: type,
                    aggregateID: after,
                    version: Int(try row.decode(Int32.self, at: 1))
                )
                state.findings.add(
                    LedgerFinding(
                        .brokenChain,
                        of: place,
                        parts: ["events"],
                        "the stream \(type)/\(after) has no events"
                    )
                )
            }
            if rows.count < limit { return }
        }
    }

    /// Streams with events that are not sealed.
    private func tail() async throws {
        let parameters: [PostgresValue] = [.int8(state.position), .int8(Int64(LedgerVerificationRun.tailLimit))]
        for row in try await reader.rows(LedgerVerificationReader.tail, parameters) {
            let place = LedgerEventPlace(
                aggregateType: try row.decode(String.self, at: 0),
                aggregateID: try row.decode(String.self, at: 1),
                version: Int(try row.decode(Int32.self, at: 3))
            )
            // Chained streams were looked at, whatever of them is sealed.
            if state.typesDone.contains(place.aggregateType) { continue }
            state.findings.add(
                LedgerFinding(
                    .brokenChain,
                    at: try row.decode(Int64.self, at: 4),
                    of: place,
                    parts: ["version"],
                    "the versions of the stream \(place.aggregateType)/\(place.aggregateID) have a gap behind the last block"
                )
            )
        }
    }

    func finish() async throws -> LedgerVerificationReport {
        LedgerVerificationReport(
            origin: start.origin,
            blocks: state.blocks,
            firstBlock: state.firstBlock,
            lastBlock: state.number,
            events: state.events,
            chainedEvents: state.chainedEvents,
            published: publishedCount,
            trustsDatabase: options.keyring == nil,
            findings: state.findings
        )
    }
}
