"""The sandbox's bank with the real runtime inside: LiteSVM executes every transaction, OpenBook compiled.

Rules
- Accounts live in the sandbox's bank; each transaction takes them into LiteSVM and brings back what changed,
  so slots, bundles, rollback, servers and faults are the sandbox's, while programs, fees, rent and compute
  limits are the real ones.
- The emulated programs run beside it; where one succeeds and the other does not is kept in ``disagreements``.
- What calls a program LiteSVM was not given is left to the emulation alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from solders.account import Account as RealAccount
from solders.clock import Clock
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata
from solders.transaction_status import TransactionErrorInstructionError

from bmv.app.world import World
from bmv.sandbox import ata_program, spl_token, system_program
from bmv.sandbox.account import Account, Program
from bmv.sandbox.bank import Bank, Outcome
from bmv.sandbox.market_genesis import OPENBOOK
from bmv.sandbox.transaction import COMPUTE_BUDGET, Transaction, TxError

REAL = frozenset(
    {OPENBOOK, COMPUTE_BUDGET, system_program.PROGRAM_ID, spl_token.PROGRAM_ID, ata_program.PROGRAM_ID}
)


@dataclass(frozen=True, slots=True)
class Run:
    """How one transaction ended in the real runtime at ``at`` (seconds since 1970)."""

    signature: str
    payer: str
    at: int
    err: TxError | None
    units: int
    unit_limit: int


class RealBank(Bank):
    """A bank whose transactions the real runtime executes."""

    def __init__(self, programs: Mapping[bytes, Program], openbook: bytes) -> None:
        super().__init__(programs)
        self.runs: list[Run] = []
        self.disagreements: list[tuple[str, TxError | None, TxError | None]] = []
        self._svm = (
            LiteSVM()
            .with_sigverify(False)
            .with_blockhash_check(False)
            .with_transaction_history(0)
            .with_log_bytes_limit(None)
        )
        self._svm.add_program(Pubkey(OPENBOOK), openbook)
        self._inside: dict[bytes, Account | None] = {}

    def execute(self, tx: Transaction, pending: Mapping[bytes, Account], unix_timestamp: int) -> Outcome:
        """Run ``tx`` as the sandbox would, then let the real runtime say what really comes of it."""
        outcome = super().execute(tx, pending, unix_timestamp)
        if not {call.program for call in tx.calls} <= REAL:
            return outcome
        originals = {key: pending.get(key) or self.accounts.get(key) for key in tx.keys}
        for key, account in originals.items():
            self._take_in(key, account)
        self._svm.set_clock(Clock(10, 0, 0, 0, unix_timestamp))
        result = self._svm.send_transaction(_rebuilt(tx))
        emulated = outcome.err
        if isinstance(result, FailedTransactionMetadata):
            outcome.err, meta = _as_json(result.err()), result.meta()
        else:
            outcome.err, meta = None, result
        assert meta.fee() == tx.fee
        outcome.logs, outcome.units = meta.logs(), meta.compute_units_consumed()
        self.runs.append(
            Run(
                tx.signature,
                str(Pubkey(tx.keys[0])),
                unix_timestamp,
                outcome.err,
                outcome.units,
                tx.unit_limit,
            )
        )
        if (emulated is None) != (outcome.err is None):
            self.disagreements.append((tx.signature, emulated, outcome.err))
        outcome.writes = self._brought_back(tx, originals, failed=outcome.err is not None)
        return outcome

    def _take_in(self, key: bytes, account: Account | None) -> None:
        """Write an account into LiteSVM unless it holds this very version already."""
        if key in self.programs or (account is not None and account.executable):
            return
        if key in self._inside and self._inside[key] is account:
            return
        image = account or Account()
        real = RealAccount(image.lamports, bytes(image.data), Pubkey(image.owner))
        self._svm.set_account(Pubkey(key), real)
        self._inside[key] = account

    def _brought_back(
        self, tx: Transaction, originals: Mapping[bytes, Account | None], *, failed: bool
    ) -> dict[bytes, Account]:
        """Return the accounts the transaction changed; a failed one pays its fee and does nothing else."""
        if failed:
            payer = originals[tx.keys[0]]
            assert payer is not None
            self._inside.pop(tx.keys[0], None)
            return {tx.keys[0]: Account(payer.lamports - tx.fee, payer.data, payer.owner)}
        writes: dict[bytes, Account] = {}
        for key, writable in zip(tx.keys, tx.writable, strict=True):
            if not writable:
                continue
            real, old = self._svm.get_account(Pubkey(key)), originals[key] or Account()
            new = Account(real.lamports, real.data, bytes(real.owner)) if real else Account()
            new = new if new.lamports else Account()
            if (new.lamports, new.data, new.owner) != (old.lamports, old.data, old.owner):
                writes[key] = self._inside[key] = new
        return writes


def _rebuilt(tx: Transaction) -> VersionedTransaction:
    """Return the same instructions for the same payer; what lookup tables named is spelled out."""
    metas = [
        AccountMeta(Pubkey(key), index < tx.signer_count, tx.writable[index])
        for index, key in enumerate(tx.keys)
    ]
    calls = [
        Instruction(Pubkey(call.program), call.data, [metas[at] for at in call.accounts]) for call in tx.calls
    ]
    message = Message.new_with_blockhash(calls, Pubkey(tx.keys[0]), Hash.default())
    signatures = [Signature.default()] * message.header.num_required_signatures
    return VersionedTransaction.populate(message, signatures)


def _as_json(error: Any) -> TxError:
    """Return a transaction error in the form RPC answers carry it."""
    if not isinstance(error, TransactionErrorInstructionError):
        return str(error).rpartition(".")[2]
    code = getattr(error.err, "code", None)
    name = str(error.err).rpartition(".")[2]
    return {"InstructionError": [error.index, name if code is None else {"Custom": code}]}


def install(world: World, openbook: bytes) -> RealBank:
    """Give a world that nobody has touched yet the real runtime; return its bank."""
    chain = world.chain
    assert not chain.ledger.count
    bank = RealBank(chain.programs, openbook)
    bank.accounts = chain.bank.accounts
    chain.bank = bank
    return bank
