"""What a transaction consists of before anything is said in it: how large it is, and its template.

A *layout* is the payer, the lookup tables and the shapes of the instructions, the compute limit first. What a
wallet sends has the same few shapes over and over: each way on from a layout is worked out once, and its
message is compiled once. A wallet's layouts are forgotten together when they become many.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from solders.pubkey import Pubkey

from bmv.chain.message import (
    NO_TABLES,
    AddressTable,
    KeyRoles,
    MessageTemplate,
    Names,
    Shape,
    invoked_size,
    short_length,
    split,
)
from bmv.venue.system import compute_unit_limit

MAX_TRANSACTION_BYTES = 1232
"""A packet: IPv6 minimum MTU 1280 less 48 of headers."""
MAX_INSTRUCTIONS = 64
MAX_ACCOUNTS = 64
"""What one transaction may lock, looked-up accounts included."""
ONWARD = 16
"""Ways on that a footprint keeps."""
KEPT = 256
"""Layouts that are kept for one payer."""
_LIMIT: Shape = split(compute_unit_limit(0))[0]


class _Footprint:
    """What a signed transaction takes whatever is said to whom: bytes, and accounts it names.

    What a wallet sends names the same few sets of accounts over and over: each way on from here is
    measured once, and the most recent are kept.
    """

    __slots__ = ("_named", "_onward", "_payer", "_tables", "accounts", "size")

    def __init__(self, payer: bytes, named: frozenset[Names], tables: tuple[AddressTable, ...]) -> None:
        self._payer, self._named, self._tables = payer, named, tables
        self._onward: dict[Names, _Footprint] = {}
        roles = KeyRoles(payer)
        for names in sorted(named):
            roles.add((names, 0))
        signed = len(short_length(roles.signers)) + 64 * roles.signers
        self.size, self.accounts = signed + roles.fixed_size(tables), roles.keys

    def naming(self, names: Names) -> "_Footprint":
        """Return the footprint with these accounts named as well."""
        if names in self._named:
            return self
        onward = self._onward.get(names)
        if onward is None:
            if len(self._onward) == ONWARD:
                del self._onward[next(iter(self._onward))]
            onward = self._onward[names] = _Footprint(self._payer, self._named | {names}, self._tables)
        return onward


class Layout:
    """The shapes of a transaction; never changed, and what follows from it is kept with it."""

    __slots__ = ("_budget", "_footprint", "_onward", "_shapes", "_size", "_tables", "_template", "payer")

    def __init__(
        self,
        payer: Pubkey,
        tables: tuple[AddressTable, ...],
        shapes: tuple[Shape, ...],
        footprint: _Footprint,
        budget: "_Budget",
    ) -> None:
        self.payer, self._tables, self._shapes = payer, tables, shapes
        self._footprint, self._budget = footprint, budget
        self._size = sum(map(invoked_size, shapes))
        self._onward: dict[Shape, Layout] = {}
        self._template: MessageTemplate | None = None

    def then(self, shape: Shape) -> "Layout":
        """Return the layout with one more instruction."""
        onward = self._onward.get(shape)
        if onward is None:
            self._budget.take()
            footprint, shapes = self._footprint.naming(shape[0]), (*self._shapes, shape)
            onward = self._onward[shape] = Layout(self.payer, self._tables, shapes, footprint, self._budget)
        return onward

    def after(self, shapes: Iterable[Shape]) -> "Layout":
        """Return the layout with these instructions as well."""
        layout = self
        for shape in shapes:
            layout = layout.then(shape)
        return layout

    @property
    def instructions(self) -> int:
        """Count the instructions, the compute limit included."""
        return len(self._shapes)

    @property
    def over(self) -> int:
        """Return by how many bytes it is too large, at most 0 where it fits; a packet for too many names."""
        if len(self._shapes) > MAX_INSTRUCTIONS or self._footprint.accounts > MAX_ACCOUNTS:
            return MAX_TRANSACTION_BYTES
        # The number of instructions takes one byte below 128.
        return self._footprint.size + 1 + self._size - MAX_TRANSACTION_BYTES

    def left(self, names: Names) -> int:
        """Return the bytes there are for one more instruction that names these; none where it is full."""
        footprint = self._footprint.naming(names)
        if len(self._shapes) >= MAX_INSTRUCTIONS or footprint.accounts > MAX_ACCOUNTS:
            return 0
        return MAX_TRANSACTION_BYTES - footprint.size - 1 - self._size

    @property
    def template(self) -> MessageTemplate:
        """Return its message with holes; ValueError for more than 256 accounts."""
        if self._template is None:
            self._template = MessageTemplate(self.payer, self._shapes, self._tables)
        return self._template


class _Budget:
    """How many layouts of one payer are kept; where they are too many, all that follow the first go."""

    __slots__ = ("first", "taken")

    def __init__(self) -> None:
        self.first: dict[Shape, Layout] = {}
        self.taken = 0

    def take(self) -> None:
        """Make room for one more."""
        if self.taken == KEPT:
            self.first.clear()
            self.taken = 0
        self.taken += 1


@lru_cache(maxsize=1024)
def _empty(payer: Pubkey, tables: tuple[AddressTable, ...]) -> Layout:
    budget, footprint = _Budget(), _Footprint(bytes(payer), frozenset({_LIMIT[0]}), tables)
    layout = Layout(payer, tables, (_LIMIT,), footprint, budget)
    budget.first = layout._onward
    return layout


def empty_layout(payer: Pubkey, tables: Sequence[AddressTable] = NO_TABLES) -> Layout:
    """Return the layout of a payer's transaction that sets its compute limit and does nothing."""
    return _empty(payer, tuple(tables))
