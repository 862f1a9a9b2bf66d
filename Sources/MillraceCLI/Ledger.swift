import ArgumentParser

struct Ledger: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Seal the log so that nobody can change it unnoticed, and prove what is in it.",
        discussion: """
            Every event becomes a leaf of one tree, which grows by signed blocks. Whoever has the public key and one checkpoint can tell, \
            without trusting this database or those who run it, whether an event was changed, removed, inserted or reordered since.

            Examples:
              millrace ledger init shop.example/ledger --key-file ledger.key
              millrace work --ledger-key ledger.key --publish-checkpoints file:/mnt/elsewhere/checkpoints
              millrace ledger prove 0190… --out event.proof
              millrace ledger verify-proof event.proof --key ledger.pub
            """,
        subcommands: [
            LedgerStatusCommand.self,
            LedgerInit.self,
            LedgerKeys.self,
            LedgerDeclare.self,
            LedgerSeal.self,
            LedgerCheckpointCommand.self,
            LedgerProve.self,
            LedgerProveConsistency.self,
            LedgerVerifyProof.self,
            LedgerVerify.self,
        ],
        defaultSubcommand: LedgerStatusCommand.self
    )
}
