"""What history is made of: one frozen struct per table, field names are column names.

Rules of this file
- Amounts are integers in the units of ``bmv.units``; times are milliseconds since 1970.
- Every row has a natural key, so that writing it again changes nothing: a trade or fill its number in the
  event queue, an order its id, a bundle its id, a balance its hour and wallet, an event the run it happened
  in and its number there.
- A ``Batch`` is written whole or not at all, and is what the spool holds.
"""

import msgspec

from bmv.belief import Belief, QueueMark
from bmv.model import Trade
from bmv.units import Millis


class FillRow(msgspec.Struct, frozen=True):
    """One of our orders being matched at ``at``; the engine was told at ``seen_at``."""

    seq: int
    at: int
    seen_at: int
    wallet: str
    side: int
    price: int
    size: int
    maker: bool
    rebate: int
    fee: int
    order_id: int
    client_id: int
    counterparty: str
    self_trade: bool


class OrderRow(msgspec.Struct, frozen=True):
    """An order of ours when it was first seen standing; ``size`` is what it had then.

    ``level`` counts from the inside of its side (0: the touch), as the ladder was when it was asked for.
    """

    order_id: int
    wallet: str
    side: int
    price: int
    size: int
    client_id: int
    seen_at: int
    level: int | None = None


class OrderEnd(msgspec.Struct, frozen=True):
    """How an order left the book: filled, cancelled, or gone (evicted, or withdrawn by somebody else)."""

    order_id: int
    ended_at: int
    ending: str
    filled: int


class BundleSent(msgspec.Struct, frozen=True):
    """A bundle about to be sent; ``tip`` and ``fees`` are what it will cost if it lands."""

    bundle_id: str
    sent_at: int
    tickets: list[int]
    signatures: list[str]
    last_valid: int
    tip: int
    fees: int


class BundleEnd(msgspec.Struct, frozen=True):
    """What became of a bundle; ``tip`` and ``fees`` are what it has cost."""

    bundle_id: str
    ended_at: int
    outcome: str
    slot: int
    reason: str
    tip: int
    fees: int


class EventRow(msgspec.Struct, frozen=True):
    """A report of the engine: the ``number``-th of the run that began at ``run``."""

    run: int
    number: int
    at: int
    name: str
    fields: dict[str, str | int]


class BalanceRow(msgspec.Struct, frozen=True):
    """What a wallet held when an hour began; the treasury is a wallet named ``treasury``."""

    hour: int
    wallet: str
    gas: int
    quote_held: int
    quote_free: int
    quote_locked: int
    base_held: int
    base_free: int
    base_locked: int
    rent: int
    usdc: int


class BookRow(msgspec.Struct, frozen=True):
    """A row of the ledger: the ``number``-th (from 1) of the run that began at ``run``."""

    run: int
    number: int
    at: int
    part: str
    lamports: int
    cause: str


class MarkoutRow(msgspec.Struct, frozen=True):
    """P, in fine ticks, as it was known ``horizon`` seconds after the fill numbered ``seq``."""

    seq: int
    horizon: int
    at: int
    price_fine: int


class SampleRow(msgspec.Struct, frozen=True):
    """What was owned at a moment, and how the market was quoted since the run's sample before it.

    ``booked`` rows of the ledger were written by then. ``settled``: nothing was in flight, so that accounts
    and ledger speak of the same moment. ``sol`` is all lamports, rent and treasury included; ``base`` is in
    lots, worth ``mark`` ticks each. Sums are values x milliseconds: ``quoting`` is the time in which the
    engine quoted, ``present_*`` the part of it with enough within 2 % of P (``present_both`` is None in rows
    from before it was kept), ``spread_weighted`` in basis points over ``spread_millis``, ``depth`` in
    lamports over ``depth_millis``: ours, then everybody's, each the bid side's bands and then the ask side's.
    """

    run: int
    at: int
    booked: int
    settled: bool
    sol: int
    base: int
    usdc: int
    sol_usd: int | None
    mark: int
    rent: int
    price_fine: int | None
    pivot_fine: int | None
    orders: int
    quoting: int
    present_bid: int
    present_ask: int
    spread_weighted: int
    spread_millis: int
    depth_millis: int
    depth: list[int]
    present_both: int | None = None


class SolUsdRow(msgspec.Struct, frozen=True):
    """What a SOL cost in an hour, in micro-dollars; what is known of an hour already stays."""

    hour: int
    micros: int


class ImportedRow(msgspec.Struct, frozen=True):
    """A row of a file: a price in fine ticks, and how many lots traded at it.

    ``kind`` says what rows the file has: ``trades``, or ``bars`` and their length. ``number`` tells trades of
    one millisecond apart.
    """

    kind: str
    at: int
    number: int
    price: int
    size: int


class Batch(msgspec.Struct):
    """Rows that are written together; ``live_from`` is where the market's first recorded reading was made."""

    trades: list[Trade] = []
    fills: list[FillRow] = []
    orders: list[OrderRow] = []
    ends: list[OrderEnd] = []
    sent: list[BundleSent] = []
    resolved: list[BundleEnd] = []
    events: list[EventRow] = []
    balances: list[BalanceRow] = []
    books: list[BookRow] = []
    markouts: list[MarkoutRow] = []
    samples: list[SampleRow] = []
    sol_usd: list[SolUsdRow] = []
    belief: Belief | None = None
    live_from: QueueMark | None = None

    def __len__(self) -> int:
        """Return how many rows it holds."""
        return sum(len(getattr(self, name)) for name in _LISTS) + (self.belief is not None)

    def join(self, later: "Batch") -> None:
        """Take over the rows of a later batch."""
        for name in _LISTS:
            getattr(self, name).extend(getattr(later, name))
        self.belief = later.belief or self.belief
        self.live_from = self.live_from or later.live_from


_LISTS = tuple(
    field.name for field in msgspec.structs.fields(Batch) if field.name not in {"belief", "live_from"}
)


class HourSum(msgspec.Struct, frozen=True):
    """All trades of one hour: the last one's time, sums of price x size, of size, and of our own size."""

    hour: int
    last_at: int
    notional: int
    volume: int
    own: int


class Opening(msgspec.Struct, frozen=True):
    """What an engine starts from.

    ``hours`` are whole hours inside the window, ``trades`` what lies in it outside of them: before the first
    whole hour, and from ``recent_from`` on, one by one. ``in_flight`` are bundles without an outcome,
    ``standing`` orders without an end, ``filled`` what was filled of them. ``seed`` is what imported files
    say of the time before records begin: a price in fine ticks, and lots a day. ``sol_usd`` are prices by the
    hour, micro-dollars.
    """

    first_start: Millis
    recent_from: Millis
    hours: list[HourSum]
    trades: list[Trade]
    belief: Belief | None
    in_flight: list[BundleSent]
    standing: list[OrderRow]
    filled: dict[int, int]
    seed: tuple[int, int] = (0, 0)
    sol_usd: list[tuple[int, int]] = []

    def sums(self) -> tuple[int, int, int]:
        """Return the window's sums of price x size, of size, and of our own size."""
        notional = sum(hour.notional for hour in self.hours)
        volume = sum(hour.volume for hour in self.hours)
        own = sum(hour.own for hour in self.hours)
        for trade in self.trades:
            notional += int(trade.price) * int(trade.size)
            volume += int(trade.size)
            own += int(trade.size) if trade.own else 0
        return notional, volume, own


def encode_batch(batch: Batch) -> bytes:
    """Return a batch as the bytes the spool holds."""
    return msgspec.json.encode(batch)


def decode_batch(data: bytes) -> Batch:
    """Return the batch that ``encode_batch`` wrote; msgspec.DecodeError where it is none."""
    return msgspec.json.decode(data, type=Batch)
