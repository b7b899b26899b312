"""What carrying out a plan will cost, estimated from its counts before anything is built (SPEC 3.6).

The estimate fills transactions and bundles by the rules of the packing: a wallet's cancels, then its
placements side by side, in instructions of at most eight, as many to a transaction as the packet takes; a
wallet's change is never split between bundles; a bundle holds four transactions of work, and at its end a
crank of what it has pushed and the tip, in the last of them or in one more. ``Wire`` holds the measured
bytes.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from typing import NamedTuple

import msgspec

from bmv.core.plan import Plan, WalletPlan
from bmv.model import Side, WalletIndex
from bmv.units import Lamports

PER_INSTRUCTION = 8
TRANSACTIONS_PER_BUNDLE = 5
FEE_PER_TRANSACTION = Lamports(5_000)
_PLACES = "places"
_LONG_DATA = 128
"""From here on the length of an instruction's data takes a second byte."""


class Wire(NamedTuple):
    """Bytes of a transaction's parts: ``base`` with the compute limit and all that every change has.

    ``key`` is what naming one account costs, ``shared`` how many accounts every change names, ``place_keys``
    how many only placements name beside the token account that pays; ``*_head`` is an instruction without
    items, of which ``place_data`` counts as data.
    """

    base: int
    key: int
    packet: int = 1_232
    shared: int = 5
    place_keys: int = 5
    cancel_head: int = 14
    cancel_item: int = 8
    place_head: int = 28
    place_data: int = 13
    place_item: int = 54
    crank: int = 14
    tip: int = 81


PLAIN = Wire(base=208, key=32)
LOOKED_UP = Wire(base=242, key=1)
"""A wallet's accounts and the market's are in a lookup table."""


class Change(NamedTuple):
    """How many orders one wallet's change withdraws without putting others in their place, and places.

    ``places`` are counted by side, in the order of the sides.
    """

    cancels: int
    places: Mapping[Side, int]
    wire: Wire


class Estimate(msgspec.Struct, frozen=True):
    """What a plan keeps and changes, in how many transactions and bundles, for how much."""

    kept: int
    cancels: int
    places: int
    transactions: int
    bundles: int
    tips: Lamports
    fees: Lamports

    @property
    def cost(self) -> Lamports:
        """Return tips and fees together."""
        return self.tips + self.fees


def estimate(plan: Plan, tip: Lamports, served: Collection[WalletIndex] = ()) -> Estimate:
    """Estimate what sending ``plan`` costs when each of its bundles tips ``tip``.

    ``served`` are the wallets whose accounts are in a lookup table.
    """
    needed = _bundles([_change(each, LOOKED_UP if each.wallet in served else PLAIN) for each in plan.wallets])
    transactions = sum(needed)
    return Estimate(
        kept=plan.kept,
        cancels=sum(len(change.cancels) for change in plan.wallets),
        places=sum(len(change.places) for change in plan.wallets),
        transactions=transactions,
        bundles=len(needed),
        tips=tip * len(needed),
        fees=FEE_PER_TRANSACTION * transactions,
    )


def _change(change: WalletPlan, wire: Wire) -> Change:
    given = {place.client_id for place in change.places}
    alone = sum(cancel.client_id not in given for cancel in change.cancels)
    return Change(alone, Counter([place.side for place in change.places]), wire)


def _bundles(changes: Sequence[Change]) -> list[int]:
    """Return how many transactions each bundle takes."""
    bundles: list[int] = []
    held, wallets, used, wire = 0, 0, 0, PLAIN
    for change in changes:
        count, last = _transactions(change)
        if wallets and held + count >= TRANSACTIONS_PER_BUNDLE:
            bundles.append(_ended(held, wallets, used, wire))
            held, wallets = 0, 0
        held, wallets, used, wire = held + count, wallets + 1, last, change.wire
    return [*bundles, _ended(held, wallets, used, wire)] if wallets else bundles


def _ended(held: int, wallets: int, used: int, wire: Wire) -> int:
    """Return the transactions of a bundle with its crank and tip; ``used`` are the bytes of the last one."""
    crank = wire.crank + wallets + (wallets - 1) * wire.key
    if used + crank + wire.tip <= wire.packet:
        return held
    return held + (held < TRANSACTIONS_PER_BUNDLE or used + wire.tip > wire.packet)


def _transactions(change: Change) -> tuple[int, int]:
    """Return how many transactions one wallet's change takes, and the bytes of the last one."""
    wire = change.wire
    empty = wire.base + wire.shared * wire.key
    count, used = 1, empty
    named: set[str] = set()
    for items, names in _runs(change):
        left = items
        while left:
            fit = _fitting(left, names, used + _keys(names - named, wire), wire)
            if not fit:
                count, used, named = count + 1, empty, set()
                continue
            used += _keys(names - named, wire) + _size(fit, names, wire)
            named |= names
            left -= fit
    return count, used


def _runs(change: Change) -> Iterable[tuple[int, frozenset[str]]]:
    """Yield what goes into instructions, and the accounts it names beyond those of a cancel."""
    for start in range(0, change.cancels, PER_INSTRUCTION):
        yield min(PER_INSTRUCTION, change.cancels - start), frozenset()
    for side, count in change.places.items():
        yield count, frozenset({_PLACES, side.name})


def _fitting(left: int, names: Set[str], used: int, wire: Wire) -> int:
    """Return how many items the next instruction takes; cancels go whole or not at all."""
    items = min(left, PER_INSTRUCTION)
    missing = used + _size(items, names, wire) - wire.packet
    if missing <= 0:
        return items
    return max(0, items - -(-missing // wire.place_item)) if names else 0


def _size(items: int, names: Set[str], wire: Wire) -> int:
    if not names:
        return wire.cancel_head + wire.cancel_item * items
    data = wire.place_data + wire.place_item * items
    return wire.place_head + wire.place_item * items + (data >= _LONG_DATA)


def _keys(names: Set[str], wire: Wire) -> int:
    return sum(wire.place_keys if name == _PLACES else 1 for name in names) * wire.key
