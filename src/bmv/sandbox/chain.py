"""The simulated Solana chain: what is sent waits for its slot, lands or fails, and is remembered.

Rules
- Time drives it: nothing runs for an empty slot. ``run_due`` executes what is due by ``now``; whoever looks
  first (a server task at ``next_due_ms``, or a reader) makes it happen, with the same result.
- First in, first out among what is due in one slot. A transaction is due in the next slot, a bundle one to
  three slots later (seeded).
- A bundle lands whole in one slot or costs nothing at all. A single transaction that fails pays its fee; one
  that cannot land (expired, already processed, no money for the fee) vanishes.
- What is executed in a slot is "processed" at once, "confirmed" one slot and "finalized" 32 slots later.
"""

import hashlib
import heapq
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from solders.pubkey import Pubkey

from bmv.sandbox import ata_program, lookup_table_program, spl_token, system_program
from bmv.sandbox.account import Account, Invocation, Program
from bmv.sandbox.bank import Bank, Outcome
from bmv.sandbox.blockhash import SlotClock
from bmv.sandbox.genesis import TIP_ACCOUNTS, infrastructure
from bmv.sandbox.ledger import Landed, Ledger, SlotReport
from bmv.sandbox.lookup_table_program import LookupTables
from bmv.sandbox.transaction import COMPUTE_BUDGET, Rejected, Transaction, parse

Commitment = Literal["processed", "confirmed", "finalized"]
LAG_SLOTS: dict[Commitment, int] = {"processed": 0, "confirmed": 1, "finalized": 32}
MAX_BUNDLE = 5
MIN_TIP_LAMPORTS = 1000
MAX_BUNDLE_DELAY_SLOTS = 3
BUNDLE_MEMORY_MS = 300_000
KEEP_SLOTS = 108_000
START_SLOT = 300_000_000


@dataclass(slots=True)
class Bundle:
    """A bundle the Block Engine took; ``why`` says what stopped a failed one."""

    id: str
    transactions: tuple[Transaction, ...]
    tip: int
    sent_slot: int
    state: Literal["Pending", "Landed", "Failed"] = "Pending"
    slot: int | None = None
    why: str = ""


class Chain:
    """One simulated chain; see the module's rules. ``now`` gives milliseconds since 1970."""

    def __init__(
        self,
        *,
        start_ms: int,
        slot_ms: int = 400,
        seed: int,
        now: Callable[[], int],
        start_slot: int = START_SLOT,
        keep_slots: int = KEEP_SLOTS,
    ) -> None:
        self.now = now
        self.clock = SlotClock(start_ms, slot_ms, seed, start_slot)
        self.genesis_hash = self.clock.genesis_hash
        self._tables = LookupTables(self.clock)
        self.programs: dict[bytes, Program] = {
            lookup_table_program.PROGRAM_ID: self._tables.process,
            system_program.PROGRAM_ID: system_program.process,
            spl_token.PROGRAM_ID: spl_token.process,
            ata_program.PROGRAM_ID: ata_program.process,
            COMPUTE_BUDGET: _compute_budget,
        }
        self.bank = Bank(self.programs)
        self.ledger = Ledger(keep_slots)
        self.listeners: list[Callable[[SlotReport], None]] = []
        self.on_queued: Callable[[], None] = _nobody_waits
        self.bundles: dict[str, Bundle] = {}
        self.landed_tips: deque[int] = deque(maxlen=1000)
        self.genesis_hash = str(Pubkey(hashlib.sha256(f"bmv genesis {seed} {start_ms}".encode()).digest()))
        self._delay = random.Random(f"{seed} bundle delay")
        self._queue: list[tuple[int, int, tuple[Transaction, ...], Bundle | None]] = []
        self._queued: set[str] = set()
        self._sequence = 0
        self._running = False

    def genesis(self, accounts: Mapping[bytes, Account]) -> None:
        """Put ``accounts`` on the chain beside programs, sysvars and tip accounts, lamports from nowhere."""
        self.bank.accounts |= {**infrastructure(self.programs), **accounts}

    @property
    def slot(self) -> int:
        """Return the newest slot that has a block."""
        return self.clock.slot_at(self.now())

    def slot_at(self, commitment: Commitment) -> int:
        """Return the newest slot that has a block and is at least as settled as ``commitment``."""
        return self.clock.at_or_before(self.slot - LAG_SLOTS[commitment])

    @property
    def burnt_lamports(self) -> int:
        """Return all fees paid so far."""
        return self.bank.burnt_lamports

    def total_lamports(self) -> int:
        """Return the lamports of all accounts; with ``burnt_lamports`` they add up to those of genesis."""
        return sum(account.lamports for account in self.bank.accounts.values())

    def block_height(self, commitment: Commitment = "processed") -> int:
        """Return the number of blocks so far."""
        return self.clock.height(self.slot_at(commitment))

    def block_time(self, slot: int) -> int:
        """Return when ``slot`` began, in seconds since 1970."""
        return self.clock.starts_ms(slot) // 1000

    def latest_blockhash(self, commitment: Commitment = "processed") -> tuple[str, int]:
        """Return a blockhash (base58) and the last block height at which it is valid."""
        return self.clock.latest(self.slot_at(commitment))

    def is_blockhash_valid(self, blockhash: str) -> bool:
        """Say whether a transaction with ``blockhash`` could land now."""
        return self.clock.is_valid(blockhash, self.slot)

    def account(self, key: bytes) -> Account | None:
        """Return the account now (its object is never changed later); None where there is none."""
        return self.bank.account(key)

    def submit_transaction(self, raw: bytes) -> str:
        """Queue a transaction for the next slot and return its signature; raises ``Rejected``."""
        self.run_due()
        tx = parse(raw)
        if tx.signature not in self.ledger and tx.signature not in self._queued:
            self._queued.add(tx.signature)
            self._enqueue(1, (tx,), None)
        return tx.signature

    def submit_bundle(self, raws: list[bytes], *, late: bool = False) -> str:
        """Queue a bundle and return its id; raises ``Rejected`` as ``check_bundle`` does.

        ``late``: it waits until any slot up to the last its blockhash allows.
        """
        bundle = self.check_bundle(raws)
        known = self.bundles.get(bundle.id)
        if known is None or known.state == "Failed":
            self._remember(bundle)
            longest = self.clock.slots_left(bundle.transactions[0].blockhash, self.slot) if late else 0
            delay = self._delay.randint(1, max(MAX_BUNDLE_DELAY_SLOTS, longest))
            self._enqueue(delay, bundle.transactions, bundle)
        return bundle.id

    def check_bundle(self, raws: list[bytes]) -> Bundle:
        """Return the bundle of ``raws``; raises ``Rejected`` where the Block Engine would not take it."""
        if not 1 <= len(raws) <= MAX_BUNDLE:
            raise Rejected("SanitizeFailure", f"exceeded maximum number of transactions ({MAX_BUNDLE})")
        self.run_due()
        transactions = tuple(parse(raw) for raw in raws)
        if len({tx.signature for tx in transactions}) < len(transactions):
            raise Rejected("SanitizeFailure", "bundle contains duplicate transactions")
        tip = sum(_tip(tx) for tx in transactions)
        if tip < MIN_TIP_LAMPORTS:
            raise Rejected(
                "SanitizeFailure",
                "Bundles must write lock at least one tip account to be eligible for the auction.",
            )
        if any(tx.signature in self.ledger for tx in transactions):
            raise Rejected("AlreadyProcessed", "bundle contains an already processed transaction")
        return Bundle(bundle_id([tx.signature for tx in transactions]), transactions, tip, self.slot)

    def bundle(self, name: str) -> Bundle | None:
        """Return the bundle of that id if it was sent in the last five minutes."""
        bundle = self.bundles.get(name)
        return bundle if bundle is not None and bundle.sent_slot >= self._oldest_bundle_slot() else None

    def simulate(self, tx: Transaction, *, any_blockhash: bool = False) -> Outcome:
        """Return what ``tx`` would do now; raises ``Rejected`` where it could not land."""
        self.run_due()
        slot = self.slot
        if not any_blockhash:
            self._require_landable(tx, slot)
        return self._execute(tx, {}, slot)[1]

    def next_due_ms(self) -> int | None:
        """Return when ``run_due`` next has something to do; None while nothing waits."""
        return self.clock.starts_ms(self._queue[0][0]) if self._queue else None

    def run_due(self) -> list[SlotReport]:
        """Execute every slot that is due, tell the listeners, and return what happened."""
        if self._running:
            return []
        self._running = True
        reports = []
        try:
            while self._queue and self._queue[0][0] <= self.slot:
                report = self._run_slot(self._queue[0][0])
                reports.append(report)
                for listener in self.listeners:
                    listener(report)
        finally:
            self._running = False
        return reports

    def _enqueue(self, delay: int, transactions: tuple[Transaction, ...], bundle: Bundle | None) -> None:
        due = self.clock.at_or_after(self.slot + delay)
        self._sequence += 1
        heapq.heappush(self._queue, (due, self._sequence, transactions, bundle))
        self.on_queued()

    def _remember(self, bundle: Bundle) -> None:
        self.bundles.pop(bundle.id, None)
        self.bundles[bundle.id] = bundle
        while (oldest := next(iter(self.bundles.values()))).sent_slot < self._oldest_bundle_slot():
            del self.bundles[oldest.id]

    def _oldest_bundle_slot(self) -> int:
        return self.slot - BUNDLE_MEMORY_MS // self.clock.slot_ms

    def _run_slot(self, slot: int) -> SlotReport:
        report = SlotReport(slot, [], [])
        changed: dict[bytes, None] = {}
        while self._queue and self._queue[0][0] == slot:
            _, _, transactions, bundle = heapq.heappop(self._queue)
            for tx, outcome in self._run_group(transactions, bundle, slot):
                changed |= dict.fromkeys(self.bank.commit(outcome, slot))
                outcome.writes = {}
                landed = Landed(slot, len(report.transactions), self.block_time(slot), tx, outcome)
                report.transactions.append(landed)
                self.ledger.add(landed)
        report.changed_keys.extend(changed)
        return report

    def _run_group(
        self, transactions: tuple[Transaction, ...], bundle: Bundle | None, slot: int
    ) -> list[tuple[Transaction, Outcome]]:
        """Return the transactions that land, with what each does: all of them or none."""
        pending: dict[bytes, Account] = {}
        landing: list[tuple[Transaction, Outcome]] = []
        for tx in transactions:
            self._queued.discard(tx.signature)
            try:
                self._require_landable(tx, slot)
                resolved, outcome = self._execute(tx, pending, slot)
            except Rejected as refusal:
                _fail(bundle, refusal.message)
                return []
            if bundle is not None and outcome.err is not None:
                _fail(bundle, f"{tx.signature}: {outcome.err}")
                return []
            pending |= outcome.writes
            landing.append((resolved, outcome))
        if bundle is not None:
            bundle.state, bundle.slot = "Landed", slot
            self.landed_tips.append(bundle.tip)
        return landing

    def _execute(
        self, tx: Transaction, pending: Mapping[bytes, Account], slot: int
    ) -> tuple[Transaction, Outcome]:
        """Look up what the transaction takes from tables and run it; raises ``Rejected``."""
        self._tables.slot = slot
        resolved = self._tables.resolve(tx, lambda key: pending.get(key) or self.bank.accounts.get(key))
        return resolved, self.bank.execute(resolved, pending, self.block_time(slot))

    def _require_landable(self, tx: Transaction, slot: int) -> None:
        if tx.signature in self.ledger:
            raise Rejected("AlreadyProcessed", "This transaction has already been processed")
        if not self.clock.is_valid(tx.blockhash, slot):
            raise Rejected("BlockhashNotFound", "Blockhash not found")


def bundle_id(signatures: list[str]) -> str:
    """Return Jito's id of a bundle: sha256 (hex) of the first signatures in base58, joined by commas."""
    return hashlib.sha256(",".join(signatures).encode()).hexdigest()


def _tip(tx: Transaction) -> int:
    """Return the lamports that top-level transfers of ``tx`` give to tip accounts."""
    tip = 0
    for call in tx.calls:
        is_transfer = call.program == system_program.PROGRAM_ID and call.data[:4] == b"\x02\0\0\0"
        named = call.accounts[1] if is_transfer and len(call.accounts) >= 2 else tx.static_count
        # A tip account that comes out of a lookup table is not one to the block engine.
        if named < tx.static_count and tx.keys[named] in TIP_ACCOUNTS:
            tip += int.from_bytes(call.data[4:12], "little")
    return tip


def _fail(bundle: Bundle | None, why: str) -> None:
    if bundle is not None:
        bundle.state, bundle.why = "Failed", why


def _compute_budget(_invocation: Invocation) -> None:
    """Do nothing: limits and prices are read when the transaction is parsed."""


def _nobody_waits() -> None:
    """Stand in until a server asks to be told."""
