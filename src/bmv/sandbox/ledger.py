"""What has landed: by signature, by address, in order; bounded.

Rules
- Records are added in the order of (slot, index) and forgotten in the same order.
- ``of_address`` answers newest first, as getSignaturesForAddress does.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from bmv.sandbox.bank import Outcome
from bmv.sandbox.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Landed:
    """A transaction in a block: where, and what it did (its writes are already part of the state)."""

    slot: int
    index: int
    block_time: int
    tx: Transaction
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class SlotReport:
    """What one executed slot changed: keys in order of first change, transactions in order."""

    slot: int
    changed_keys: list[bytes]
    transactions: list[Landed]


class UnknownCursor(Exception):
    """``before`` or ``until`` names no transaction of this ledger."""


class Ledger:
    """Landed transactions of the last ``keep_slots`` slots."""

    def __init__(self, keep_slots: int) -> None:
        self.keep_slots = keep_slots
        self.count = 0
        self._order: deque[Landed] = deque()
        self._by_signature: dict[str, Landed] = {}
        self._by_address: dict[bytes, deque[Landed]] = {}

    def __contains__(self, signature: str) -> bool:
        return signature in self._by_signature

    def get(self, signature: str) -> Landed | None:
        """Return the landed transaction, if it is known."""
        return self._by_signature.get(signature)

    def add(self, landed: Landed) -> None:
        """Record ``landed`` and forget what is too old."""
        self.count += 1
        self._order.append(landed)
        self._by_signature[landed.tx.signature] = landed
        for key in landed.tx.keys:
            self._by_address.setdefault(key, deque()).append(landed)
        while self._order[0].slot < landed.slot - self.keep_slots:
            self._forget(self._order.popleft())

    def of_address(
        self, address: bytes, up_to_slot: int, limit: int, before: str | None = None, until: str | None = None
    ) -> list[Landed]:
        """Return what named ``address`` up to ``up_to_slot``, newest first, strictly between the two cursors.

        Raises ``UnknownCursor``.
        """
        first, last = self._cursor(before), self._cursor(until)
        between = (
            landed
            for landed in reversed(self._by_address.get(address, ()))
            if landed.slot <= up_to_slot and (first is None or _place(landed) < _place(first))
        )
        wanted: list[Landed] = []
        for landed in between:
            if len(wanted) == limit or (last is not None and _place(landed) <= _place(last)):
                break
            wanted.append(landed)
        return wanted

    def since(self, slot: int) -> Iterator[Landed]:
        """Yield what landed in ``slot`` or later, newest first."""
        return takewhile(lambda landed: landed.slot >= slot, reversed(self._order))

    def _cursor(self, signature: str | None) -> Landed | None:
        if signature is None:
            return None
        if signature not in self._by_signature:
            raise UnknownCursor(signature)
        return self._by_signature[signature]

    def _forget(self, landed: Landed) -> None:
        del self._by_signature[landed.tx.signature]
        for key in landed.tx.keys:
            history = self._by_address[key]
            history.popleft()
            if not history:
                del self._by_address[key]


def _place(landed: Landed) -> tuple[int, int]:
    return landed.slot, landed.index
