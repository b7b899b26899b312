"""Steps -> transactions -> bundles, as few as fit.

A group is what must land together (one wallet's change). Its work fills as few transactions as the packet
size allows, and never goes into two bundles; small groups share a bundle. A run of orders is cut where a
transaction is full. One transaction of every bundle is left to the end of it: our own crank, which frees
the order slots the bundle has used up, and the tip; both go into the last transaction of the work where they
fit there, and the tip always stands beside work.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec
from solders.pubkey import Pubkey

from bmv.chain.layout import empty_layout
from bmv.chain.message import NO_TABLES, AddressTable, Names, invoked_size
from bmv.chain.transaction import Tip, fill, tipping
from bmv.errors import InvariantBroken
from bmv.services import compute
from bmv.services.building import PER_INSTRUCTION, Step, Work, replace_shape
from bmv.venue.openbook_v1.instructions import ORDER_BYTES

MAX_BUNDLE = 5
MAX_UNITS = 1_400_000

TablesOf = Callable[[Pubkey], Sequence[AddressTable]]
"""Which lookup tables a payer's transactions use."""


class Group(msgspec.Struct, frozen=True, gc=False):
    """The work of one ticket; it pushes up to ``events`` events of the accounts ``touched``.

    Where ``spelled_out``, no lookup table is used: it moves value, and a signer does not believe tables.
    ``until``: its placements die with this second of the chain's time; None where it places nothing.
    ``withdraws``: it does nothing but cancel.
    """

    ticket: int
    work: Sequence[Work]
    touched: tuple[Pubkey, ...] = ()
    events: int = 0
    spelled_out: bool = False
    until: int | None = None
    withdraws: bool = False


CrankOf = Callable[[Sequence[Group], Pubkey], Sequence[Step]]
"""Makes the crank that ends a bundle of these groups, paid by a given wallet; none where none is needed."""


class Draft:
    """One transaction before it has a blockhash."""

    __slots__ = ("_layout", "payer", "steps", "tables", "units")

    def __init__(self, payer: Pubkey, tables: Sequence[AddressTable]) -> None:
        self.payer, self.tables = payer, tables
        self.steps: list[Step] = []
        self.units = compute.TRANSACTION
        self._layout = empty_layout(payer, tables)

    def message(self, units: int, tip: Tip | None, blockhash: bytes) -> bytes:
        """Return what is to be signed: the compute limit (units), its steps, the tip."""
        return fill(self._layout, [step.piece[1] for step in self.steps], units, tip, blockhash)

    def take(self, work: Work) -> Work | None:
        """Add as much of it as fits; return what is left."""
        if isinstance(work, Step):
            return None if self._takes(work) else work
        at, room = 0, self._layout.left(work.names)
        for count in _cut(work.names, len(work.orders), room, MAX_UNITS - self.units):
            self._add(work.part(at, count))
            at += count
        return work.after(at) if at else work

    def _takes(self, step: Step) -> bool:
        shape = step.piece[0]
        if self.units + step.units > MAX_UNITS or invoked_size(shape) > self._layout.left(shape[0]):
            return False
        self._add(step)
        return True

    def ends_with(self, steps: Sequence[Step], tip: Tip) -> bool:
        """Add the last steps of a bundle if they fit beside its tip; say whether they did."""
        units = self.units + sum(step.units for step in steps)
        layout = self._layout.after(step.piece[0] for step in steps)
        if units > MAX_UNITS or layout.then(tipping(self.payer, tip)[0]).over > 0:
            return False
        for step in steps:
            self._add(step)
        return True

    def without_last(self) -> tuple["Draft", Step]:
        """Return the same transaction without its last step, and that step."""
        shorter = Draft(self.payer, self.tables)
        for step in self.steps[:-1]:
            shorter._add(step)
        return shorter, self.steps[-1]

    def _add(self, step: Step) -> None:
        self._layout = self._layout.then(step.piece[0])
        self.steps.append(step)
        self.units += step.units


@lru_cache(maxsize=4096)
def _cut(names: Names, orders: int, room: int, units: int) -> tuple[int, ...]:
    """Return how many orders each instruction takes, of those that fit into ``room`` bytes and ``units``."""
    counts: list[int] = []
    while orders:
        count = min(PER_INSTRUCTION, orders)
        missing = invoked_size(replace_shape(names, count)) - room
        if missing > 0:
            count -= -(-missing // ORDER_BYTES)
        if count < 1 or compute.replaces(count) > units:
            break
        counts.append(count)
        orders -= count
        room -= invoked_size(replace_shape(names, count))
        units -= compute.replaces(count)
    return tuple(counts)


@dataclass(slots=True)
class BundleDraft:
    """The transactions of one bundle and the tickets they serve."""

    groups: list[Group] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)

    @property
    def tickets(self) -> list[int]:
        """Return the tickets in order."""
        return [group.ticket for group in self.groups]

    @property
    def until(self) -> int | None:
        """Return the second of the chain's time that none of its placements outlives; None where none is."""
        return max((group.until for group in self.groups if group.until is not None), default=None)

    @property
    def withdraws(self) -> bool:
        """Say whether it does nothing but cancel."""
        return all(group.withdraws for group in self.groups)


def no_tables(_payer: Pubkey) -> Sequence[AddressTable]:
    """Use no lookup table."""
    return NO_TABLES


def no_crank(_groups: Sequence[Group], _payer: Pubkey) -> Sequence[Step]:
    """End a bundle without a crank."""
    return ()


def pack_transactions(work: Sequence[Work], tables_of: TablesOf) -> list[Draft]:
    """Fill transactions greedily, in order; raise InvariantBroken for a step that fits none."""
    drafts: list[Draft] = []
    for one in work:
        rest: Work | None = one
        if drafts and drafts[-1].payer == one.payer:
            rest = drafts[-1].take(one)
        while rest is not None:
            drafts.append(Draft(one.payer, tables_of(one.payer)))
            left = drafts[-1].take(rest)
            if left is rest:
                raise InvariantBroken("one instruction alone is larger than a transaction")
            rest = left
    return drafts


class Packing:
    """Put groups into bundles of at most five transactions, in order; a group is never split.

    Raises InvariantBroken for a group that needs more than one bundle: the plan bounds a wallet's change.
    """

    def __init__(self, tip: Tip, tables_of: TablesOf = no_tables, crank_of: CrankOf = no_crank) -> None:
        self._tip, self._tables_of, self._crank_of = tip, tables_of, crank_of
        self._bundles: list[BundleDraft] = []

    def add(self, group: Group) -> None:
        """Take in one more group; the bundle before is ended where it has no room for it."""
        drafts = pack_transactions(group.work, no_tables if group.spelled_out else self._tables_of)
        if not self._bundles or len(self._bundles[-1].drafts) + len(drafts) >= MAX_BUNDLE:
            self._end_last()
            self._bundles.append(BundleDraft())
        self._bundles[-1].groups.append(group)
        self._bundles[-1].drafts += drafts

    def ended(self) -> list[BundleDraft]:
        """End the last bundle too, and return all."""
        self._end_last()
        return self._bundles

    def _end_last(self) -> None:
        if not self._bundles:
            return
        bundle = self._bundles[-1]
        _end(bundle, self._tip, self._tables_of, self._crank_of)
        if len(bundle.drafts) > MAX_BUNDLE:
            needs = f"needs {len(bundle.drafts)} transactions; a bundle takes {MAX_BUNDLE}"
            raise InvariantBroken(f"ticket {bundle.tickets[0]} {needs}")


def pack_bundles(
    groups: Sequence[Group], tip: Tip, tables_of: TablesOf = no_tables, crank_of: CrankOf = no_crank
) -> list[BundleDraft]:
    """Pack groups at one go, as ``Packing`` does."""
    packing = Packing(tip, tables_of, crank_of)
    for group in groups:
        packing.add(group)
    return packing.ended()


def _end(bundle: BundleDraft, tip: Tip, tables_of: TablesOf, crank_of: CrankOf) -> None:
    """Add the crank and keep room for the tip, in the last transaction or else in one more."""
    last = bundle.drafts[-1]
    crank = crank_of(bundle.groups, last.payer)
    if crank:
        if last.ends_with(crank, tip):
            return
        one_more = Draft(last.payer, tables_of(last.payer))
        if len(bundle.drafts) < MAX_BUNDLE and one_more.ends_with(crank, tip):
            bundle.drafts.append(one_more)
            return
    if not last.ends_with((), tip):
        shorter, step = last.without_last()
        alone = Draft(last.payer, last.tables)
        if not alone.ends_with((step,), tip):
            raise InvariantBroken("one instruction and the tip are larger than a transaction")
        bundle.drafts[-1:] = [shorter, alone]
