"""What carrying out a plan will cost, estimated from its counts before anything is built (SPEC 3.6).

The estimate fills transactions and bundles by the rules of the packing: a wallet's cancels, bids and asks in
instructions of eight, in that order, as many to a transaction as the packet takes; a wallet's change is never
split between bundles; a bundle holds five transactions and pays one tip. ``Wire`` holds the measured bytes.
"""

from collections.abc import Iterable, Sequence, Set
from typing import NamedTuple

import msgspec

from bmv.core.plan import Plan
from bmv.model import Side
from bmv.units import Lamports

IDS_PER_INSTRUCTION = 8
TRANSACTIONS_PER_BUNDLE = 5
FEE_PER_TRANSACTION = Lamports(5_000)
_PLACES = "places"
_LONG_DATA = 128
"""From here on the length of an instruction's data takes a second byte."""


class Wire(NamedTuple):
    """Bytes of a transaction's parts: with compute limit, tip and the accounts every change names.

    ``place_keys`` are the accounts only placements name, ``payer_key`` is the token account that pays for a
    side; ``*_head`` is an instruction without items, of which ``place_data`` counts as data.
    """

    packet: int = 1_232
    base: int = 449
    place_keys: int = 160
    payer_key: int = 32
    cancel_head: int = 14
    cancel_item: int = 8
    place_head: int = 28
    place_data: int = 13
    place_item: int = 54


class Change(NamedTuple):
    """How many orders one wallet's change withdraws and places."""

    cancels: int
    bids: int
    asks: int


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


def estimate(plan: Plan, tip: Lamports, wire: Wire | None = None) -> Estimate:
    """Estimate what sending ``plan`` costs when each of its bundles tips ``tip``."""
    changes = [
        Change(
            len(change.cancels),
            sum(place.side is Side.BID for place in change.places),
            sum(place.side is Side.ASK for place in change.places),
        )
        for change in plan.wallets
    ]
    needed = [transactions(change, wire or Wire()) for change in changes]
    bundles = _bundles(needed)
    return Estimate(
        kept=plan.kept,
        cancels=sum(change.cancels for change in changes),
        places=sum(change.bids + change.asks for change in changes),
        transactions=sum(needed),
        bundles=bundles,
        tips=tip * bundles,
        fees=FEE_PER_TRANSACTION * sum(needed),
    )


def transactions(change: Change, wire: Wire) -> int:
    """Return how many transactions one wallet's change takes."""
    count, used = 0, wire.packet
    named: set[str] = set()
    for size, names in _instructions(change, wire):
        if used + size + _keys(names - named, wire) > wire.packet:
            count, used, named = count + 1, wire.base, set()
        used += size + _keys(names - named, wire)
        named |= names
    return count


def _keys(names: Set[str], wire: Wire) -> int:
    return sum(wire.place_keys if name == _PLACES else wire.payer_key for name in names)


def _instructions(change: Change, wire: Wire) -> Iterable[tuple[int, frozenset[str]]]:
    """Yield each instruction's bytes and the accounts it names beyond those of a cancel."""
    for items in _chunks(change.cancels):
        yield wire.cancel_head + wire.cancel_item * items, frozenset()
    for side, count in (("bids", change.bids), ("asks", change.asks)):
        for items in _chunks(count):
            long = wire.place_data + wire.place_item * items >= _LONG_DATA
            yield wire.place_head + wire.place_item * items + long, frozenset({_PLACES, side})


def _chunks(count: int) -> Iterable[int]:
    for start in range(0, count, IDS_PER_INSTRUCTION):
        yield min(IDS_PER_INSTRUCTION, count - start)


def _bundles(needed: Sequence[int]) -> int:
    bundles = 0
    room = 0
    for transactions_needed in needed:
        if transactions_needed > room:
            bundles += 1
            room = TRANSACTIONS_PER_BUNDLE
        room -= transactions_needed
    return bundles
