"""One set of accounts in two places, the compiled program and the emulator, that must stay the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from solders.account import Account as RealAccount
from solders.clock import Clock
from solders.compute_budget import ComputeBudget
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata
from solders.transaction_status import TransactionErrorInstructionError

from bmv.sandbox.account import Account, AccountRef, Invocation, ProgramError
from bmv.sandbox.openbook.program import process

PROGRAM = bytes(Pubkey.from_string("srmqPvymJeFKQ4zGQed1GFppgkRHL9kaELCbyksJtPX"))
ASSERTIONS = 1 << 24
LOGS = ("Program data: ", "Program log: Pruned ", "Program log: bids full!", "Program log: offers full!")
START = 1_700_000_000

Meta = tuple[str, str]
Outcome = tuple[str, int]
OK: Outcome = ("ok", 0)


@dataclass(frozen=True)
class Step:
    """One instruction: accounts by name, flags ``w`` and ``s``."""

    accounts: Sequence[Meta]
    data: bytes


class Arena:
    """Runs every step through both, and fails where outcome, logs or any account's bytes differ.

    What the runtime does around a program is done here too: it undoes failed steps and allows no change of an
    account named read-only.
    """

    def __init__(self, program: bytes, rng: Random) -> None:
        self.rng, self.now, self.steps = rng, START, 0
        self.keys: dict[str, bytes] = {}
        self.accounts: dict[str, Account] = {}
        budget = ComputeBudget(False)
        budget.compute_unit_limit = 1_400_000
        self._svm = (
            LiteSVM()
            .with_sigverify(False)
            .with_blockhash_check(False)
            .with_transaction_history(0)
            .with_log_bytes_limit(None)
            .with_compute_budget(budget)
        )
        self._svm.add_program(Pubkey.from_bytes(PROGRAM), program)
        self._fee_payer = Pubkey.from_bytes(self.name("fee_payer"))
        self.put("fee_payer", Account(10**15))
        self.wait(0)

    def wait(self, seconds: int) -> None:
        """Let the clock go on."""
        self.now += seconds
        self._svm.set_clock(Clock(10, 0, 0, 0, self.now))

    def name(self, name: str, key: bytes | None = None) -> bytes:
        """Give an address, random unless told, a name."""
        self.keys[name] = key or self.rng.randbytes(32)
        self.accounts.setdefault(name, Account())
        return self.keys[name]

    def put(self, name: str, account: Account) -> None:
        """Write an account in both places."""
        if name not in self.keys:
            self.name(name)
        self.accounts[name] = account
        self._svm.set_account(
            Pubkey.from_bytes(self.keys[name]),
            RealAccount(account.lamports, bytes(account.data), Pubkey.from_bytes(account.owner), False),
        )

    def run(self, step: Step) -> Outcome:
        """Run one step in both places and return how it ended."""
        expected, expected_logs = self._run_compiled(step)
        outcome, logs = self._run_emulated(step)
        assert outcome == expected, (self.steps, step)
        if outcome == OK:
            assert logs == expected_logs, (self.steps, step)
            self._compare(step)
        self.steps += 1
        return outcome

    def _run_compiled(self, step: Step) -> tuple[Outcome, list[str]]:
        metas = [
            AccountMeta(Pubkey.from_bytes(self.keys[name]), "s" in flags, "w" in flags)
            for name, flags in step.accounts
        ]
        call = Instruction(Pubkey.from_bytes(PROGRAM), step.data, metas)
        message = Message.new_with_blockhash([call], self._fee_payer, Hash.default())
        signatures = [Signature.default()] * message.header.num_required_signatures
        result = self._svm.send_transaction(VersionedTransaction.populate(message, signatures))
        if isinstance(result, FailedTransactionMetadata):
            return _outcome(result.err()), []
        return OK, [line for line in result.logs() if line.startswith(LOGS)]

    def _run_emulated(self, step: Step) -> tuple[Outcome, list[str]]:
        signers = {name for name, flags in step.accounts if "s" in flags}
        refs = [
            AccountRef(self.keys[name], self.accounts[name], name in signers, "w" in flags)
            for name, flags in step.accounts
        ]
        before = [(ref.account, ref.account.lamports, bytes(ref.account.data)) for ref in refs]
        invocation = Invocation(PROGRAM, refs, step.data, self.now)
        writable = {name for name, flags in step.accounts if "w" in flags}
        try:
            process(invocation)
            for (name, _), (account, lamports, data) in zip(step.accounts, before, strict=True):
                if name not in writable and (account.lamports != lamports or account.data != data):
                    raise ProgramError("invalid", why="read-only account changed")
        except ProgramError as failure:
            for account, lamports, data in before:
                account.lamports, account.data[:] = lamports, data
            return (failure.kind, failure.code), []
        return OK, invocation.logs

    def _compare(self, step: Step) -> None:
        for name in dict.fromkeys(name for name, flags in step.accounts if "w" in flags):
            account = self.accounts[name]
            real = self._svm.get_account(Pubkey.from_bytes(self.keys[name]))
            assert account.lamports == (real.lamports if real else 0), (name, self.steps, step)
            if real is None or not account.lamports:
                self.accounts[name] = Account()
            else:
                assert account.data == real.data, (name, self.steps, step)


def _outcome(error: Any) -> Outcome:
    assert isinstance(error, TransactionErrorInstructionError), error
    code = getattr(error.err, "code", None)
    if code is not None:
        return ("code" if code < ASSERTIONS else "aborted"), code
    return ("aborted" if "ProgramFailedToComplete" in str(error.err) else "invalid"), 0
