"""The accounts of the simulated chain and what one transaction does to them.

Rules
- A committed account object is never changed again: a transaction works on copies, and committing replaces
  objects. So rolling back is forgetting, reading the past is keeping a reference, and an encoding may be
  cached by identity.
- Fees are burnt: lamports of all accounts plus ``burnt_lamports`` equal the lamports at genesis, always.
- A transaction that fails pays its fee and has no other effect. One that cannot pay does not land.
- After a transaction every account it could write is gone (no lamports), rent exempt, or no richer and no
  larger than it was while it lived below the rent minimum.
- Programs call one another as plain functions here, so "only the owner writes an account" is up to them; that
  lamports balance after each instruction and that read-only accounts stay as they are is enforced.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from solders.pubkey import Pubkey

from bmv.sandbox import spl_token, system_program
from bmv.sandbox.account import Account, AccountRef, Invocation, Program, ProgramError
from bmv.sandbox.system_program import rent_exempt_lamports
from bmv.sandbox.transaction import COMPUTE_BUDGET, Call, Rejected, Transaction, TxError

PAST_SLOTS = 64
BUILTIN_UNITS = 150
TOKEN_UNITS = 4_500
PROGRAM_UNITS = 20_000
INSTRUCTION_ERRORS = frozenset(
    {
        "AccountBorrowFailed",
        "IllegalOwner",
        "Immutable",
        "IncorrectAuthority",
        "IncorrectProgramId",
        "InvalidAccountData",
        "InvalidAccountOwner",
        "InvalidInstructionData",
        "InvalidSeeds",
        "MissingRequiredSignature",
        "ModifiedProgramId",
        "NotEnoughAccountKeys",
        "UnbalancedInstruction",
        "UninitializedAccount",
    }
)


@dataclass(frozen=True, slots=True)
class TokenBalance:
    """What one account of a transaction held; ``index`` is into the transaction's keys."""

    index: int
    mint: bytes
    owner: bytes
    amount: int


@dataclass(frozen=True, slots=True)
class Balances:
    """Lamports of every key of a transaction, and the token balances among them."""

    lamports: tuple[int, ...] = ()
    tokens: tuple[TokenBalance, ...] = ()


@dataclass(slots=True)
class Outcome:
    """What a transaction did: ``writes`` are the new accounts, to be committed or dropped.

    ``units`` is a flat estimate per kind of instruction, not a measurement; ``data_size`` is in bytes.
    """

    fee: int
    err: TxError | None = None
    logs: list[str] = field(default_factory=list)
    units: int = 0
    data_size: int = 0
    writes: dict[bytes, Account] = field(default_factory=dict)
    before: Balances = field(default_factory=Balances)
    after: Balances = field(default_factory=Balances)


class Bank:
    """Every account, and the rules by which a transaction changes them."""

    def __init__(self, programs: Mapping[bytes, Program]) -> None:
        self.programs = programs
        self.accounts: dict[bytes, Account] = {}
        self.burnt_lamports = 0
        self._past: dict[bytes, list[tuple[int, Account | None]]] = {}
        self._replaced: deque[tuple[int, bytes]] = deque()

    def account(self, key: bytes, slot: int | None = None) -> Account | None:
        """Return the account now, or as it was after a recent ``slot``; do not change what you get."""
        if slot is not None:
            for replaced_in, account in self._past.get(key, ()):
                if slot < replaced_in:
                    return account
        return self.accounts.get(key)

    def known_keys(self) -> list[bytes]:
        """Return the keys of all accounts there are or recently were, sorted."""
        return sorted(self.accounts.keys() | self._past.keys())

    def execute(self, tx: Transaction, pending: Mapping[bytes, Account], unix_timestamp: int) -> Outcome:
        """Run ``tx`` on top of ``pending`` writes and return what it would do; commits nothing.

        Raises ``Rejected`` where the payer cannot pay the fee.
        """
        originals = [pending.get(key) or self.accounts.get(key) or Account() for key in tx.keys]
        _require_payer(originals[0], tx.fee)
        working = [_copy(account) for account in originals]
        working[0].lamports -= tx.fee
        charged = _copy(working[0])
        outcome = Outcome(tx.fee, data_size=sum(len(account.data) for account in originals))
        outcome.before = _balances(originals)
        outcome.err = self._run(tx, originals, working, unix_timestamp, outcome) or _rent_error(
            tx, originals, working
        )
        if outcome.err is not None:
            working = [charged, *originals[1:]]
        for key, old, new in zip(tx.keys, originals, working, strict=True):
            if not _same(old, new):
                outcome.writes[key] = new if new.lamports else Account()
        outcome.after = _balances(working)
        return outcome

    def commit(self, outcome: Outcome, slot: int) -> list[bytes]:
        """Make the writes of ``outcome`` the state as of ``slot``; return the changed keys in order."""
        self.burnt_lamports += outcome.fee
        for key, account in outcome.writes.items():
            self.put(key, account, slot)
        return list(outcome.writes)

    def put(self, key: bytes, account: Account, slot: int) -> None:
        """Replace one account; no lamports means gone."""
        versions = self._past.setdefault(key, [])
        if not versions or versions[-1][0] != slot:
            versions.append((slot, self.accounts.get(key)))
            self._replaced.append((slot, key))
        if account.lamports:
            self.accounts[key] = account
        else:
            self.accounts.pop(key, None)
        self._forget(slot - PAST_SLOTS)

    def _forget(self, before: int) -> None:
        while self._replaced and self._replaced[0][0] < before:
            _, key = self._replaced.popleft()
            self._past[key].pop(0)
            if not self._past[key]:
                del self._past[key]

    def _run(
        self,
        tx: Transaction,
        originals: list[Account],
        working: list[Account],
        unix_timestamp: int,
        outcome: Outcome,
    ) -> TxError | None:
        """Run every instruction on ``working``; return the first error."""
        for index, call in enumerate(tx.calls):
            refs = [
                AccountRef(tx.keys[at], working[at], at < tx.signer_count, tx.writable[at])
                for at in call.accounts
            ]
            total = sum(account.lamports for account in working)
            invocation = Invocation(call.program, refs, call.data, unix_timestamp)
            error = self._call(call, invocation, outcome)
            if error is None and sum(account.lamports for account in working) != total:
                error = "UnbalancedInstruction"
            if error is None and not all(
                tx.writable[at] or _same(originals[at], working[at]) for at in call.accounts
            ):
                error = "ReadonlyDataModified"
            if error is not None:
                return {"InstructionError": [index, error]}
        return None

    def _call(self, call: Call, invocation: Invocation, outcome: Outcome) -> TxError | None:
        program = self.programs.get(call.program)
        if program is None:
            return "UnsupportedProgramId"
        name = str(Pubkey(call.program))
        outcome.logs.append(f"Program {name} invoke [1]")
        units = _units(call.program)
        outcome.units += units
        try:
            program(invocation)
        except ProgramError as failure:
            error, text = _instruction_error(failure)
            outcome.logs += [*invocation.logs, f"Program log: {failure}", f"Program {name} failed: {text}"]
            return error
        outcome.logs += [*invocation.logs, f"Program {name} success"]
        return None


def _copy(account: Account) -> Account:
    return Account(account.lamports, account.data, account.owner, account.executable)


def _same(old: Account, new: Account) -> bool:
    return old.lamports == new.lamports and old.owner == new.owner and old.data == new.data


def _require_payer(payer: Account, fee: int) -> None:
    if not payer.lamports:
        raise Rejected(
            "AccountNotFound", "Attempt to debit an account but found no record of a prior credit."
        )
    if payer.owner != system_program.PROGRAM_ID or payer.data:
        raise Rejected("InvalidAccountForFee", "This account may not be used to pay transaction fees")
    left = payer.lamports - fee
    if left < 0:
        raise Rejected("InsufficientFundsForFee", "Insufficient funds for fee")
    if 0 < left < rent_exempt_lamports(0) <= payer.lamports:
        raise Rejected(
            {"InsufficientFundsForRent": {"account_index": 0}},
            "Transaction results in an account (0) with insufficient funds for rent",
        )


def _rent_error(tx: Transaction, originals: list[Account], working: list[Account]) -> TxError | None:
    """Return the error for the first writable account left below its rent minimum."""
    for index, (old, new) in enumerate(zip(originals, working, strict=True)):
        if not tx.writable[index] or not new.lamports or new.lamports >= rent_exempt_lamports(len(new.data)):
            continue
        was_poor = 0 < old.lamports < rent_exempt_lamports(len(old.data))
        if not (was_poor and len(new.data) == len(old.data) and new.lamports <= old.lamports):
            return {"InsufficientFundsForRent": {"account_index": index}}
    return None


def _balances(accounts: list[Account]) -> Balances:
    tokens = []
    for index, account in enumerate(accounts):
        if account.owner == spl_token.PROGRAM_ID and len(account.data) == spl_token.ACCOUNT.size:
            holding = spl_token.Holding(*spl_token.ACCOUNT.unpack(account.data))
            if holding.state:
                tokens.append(TokenBalance(index, holding.mint, holding.owner, holding.amount))
    return Balances(tuple(account.lamports for account in accounts), tuple(tokens))


def _instruction_error(failure: ProgramError) -> tuple[TxError, str]:
    """Return the error as JSON and as the words of a program's log."""
    if failure.kind == "code" or failure.code:
        return {"Custom": failure.code}, f"custom program error: {failure.code:#x}"
    if failure.kind == "aborted":
        return "ProgramFailedToComplete", "Program failed to complete"
    name = str(failure) if str(failure) in INSTRUCTION_ERRORS else "InvalidArgument"
    return name, name


def _units(program: bytes) -> int:
    if program in (system_program.PROGRAM_ID, COMPUTE_BUDGET):
        return BUILTIN_UNITS
    return TOKEN_UNITS if program == spl_token.PROGRAM_ID else PROGRAM_UNITS
