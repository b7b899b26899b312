"""What an engine believes, packed into one value: for ``bmv status``, ``bmv halt`` and whoever comes after.

Chain units throughout, with the market's spec to read them by. Packed as MessagePack arrays (no field names),
so fields are only ever added at the end, and ``version`` goes up when that is not enough.
"""

import msgspec

from bmv.errors import Garbled
from bmv.model import MarketSpec, Side
from bmv.units import BaseAtoms, BaseLots, Lamports, MicroUsd, Millis, Slot, Ticks, UsdPerSol

VERSION = 1
_SEQUENCE = (1 << 64) - 1


class Packed(msgspec.Struct, frozen=True, array_like=True):
    """A value that is packed without names."""


class Standing(Packed, frozen=True, gc=False):
    """One order of ours on the book; ``sequence`` is the lower half of its id, its price the upper one."""

    side: Side
    price: Ticks
    size: BaseLots
    sequence: int
    client_id: int

    @property
    def order_id(self) -> int:
        """Return the id the venue knows it by."""
        return (int(self.price) << 64) | self.sequence


def sequence_of(order_id: int) -> int:
    """Return the half of an order id that its price does not say."""
    return order_id & _SEQUENCE


class Purse(Packed, frozen=True):
    """One wallet: what it holds, what stands for it, and why it is set aside ('' where it is not)."""

    wallet: int
    address: str
    gas: Lamports
    quote_held: Lamports
    quote_free: Lamports
    quote_locked: Lamports
    base_held: BaseAtoms
    base_free: BaseAtoms
    base_locked: BaseAtoms
    rent: Lamports
    ready: bool
    aside: str
    orders: tuple[Standing, ...]


class Flying(Packed, frozen=True):
    """One action in flight; ``landed`` is the slot it landed in, 0 where that is not known yet."""

    ticket: int
    kind: str
    wallet: int | None
    sent_at: Millis
    landed: Slot
    cancels: int
    places: int


class Wanted(Packed, frozen=True, gc=False):
    """One level of the ladder."""

    wallet: int
    side: Side
    point: int
    price: Ticks
    size: BaseLots


class Prices(Packed, frozen=True):
    """Prices in fine ticks and the foreign book's best in ticks; None where not known.

    What a SOL and a euro cost is in millionths of a dollar, and of ``rated_at``.
    """

    price: int | None = None
    source: str = ""
    pivot: int | None = None
    zones: tuple[int, int, int, int] | None = None
    foreign_bid: Ticks | None = None
    foreign_ask: Ticks | None = None
    sol_usd: UsdPerSol | None = None
    eur_usd: MicroUsd | None = None
    rated_at: Millis = Millis(0)


class Author(Packed, frozen=True):
    """The engine that wrote it: where it runs and under which fence (0: without a lease)."""

    version: str
    host: str
    pid: int
    started: Millis
    fence: int


class Snapshot(Packed, frozen=True):
    """Everything others may want to know of a running engine; ``at`` is its clock.

    ``clean``: it has ended, and the chain showed nothing left.
    """

    version: int
    at: Millis
    author: Author
    spec: MarketSpec
    phase: str
    slot: Slot
    seen: Slot
    feed_up: bool
    halt_reason: str
    clean: bool
    prices: Prices
    purses: tuple[Purse, ...]
    flying: tuple[Flying, ...]
    ladder: tuple[Wanted, ...]

    @property
    def orders(self) -> int:
        """Return how many orders of ours stand."""
        return sum(len(purse.orders) for purse in self.purses)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode
_version = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


def packed(snapshot: Snapshot) -> bytes:
    """Return a snapshot as bytes."""
    return _encode(snapshot)


def unpacked(raw: bytes, where: str) -> Snapshot:
    """Return the snapshot in ``raw``; Garbled where ``where`` holds something else, or another version."""
    try:
        found = msgspec.msgpack.decode(_version(raw)[0], type=int)
        if found != VERSION:
            raise Garbled(where, f"a snapshot of version {found}; this program reads {VERSION}")
        return _decode(raw)
    except (msgspec.DecodeError, IndexError) as error:
        raise Garbled(where, f"not a snapshot of ours ({error})") from error
