"""What people see of a running engine: one snapshot and one chart series.

Rules of this file
- Prices (SOL per token) and amounts are decimal strings without exponent; times are milliseconds since 1970.
- ``None`` means not known yet; the page shows a dash for it.
- Only ``HistoryPoint`` carries floats: it feeds charts and nothing else.
"""

from typing import Literal

import msgspec

Mode = Literal["demo", "live"]
EngineState = Literal["starting", "quoting", "halting", "stopped", "feed lost"]
OrderState = Literal["live", "in-flight", "leaving", "missing"]
SideName = Literal["bid", "ask"]


class PriceView(msgspec.Struct, frozen=True, kw_only=True):
    """The current price and where it comes from; in dollars and euros where they are known."""

    value: str
    source: str
    usd: str | None = None
    eur: str | None = None


class ChannelView(msgspec.Struct, frozen=True, kw_only=True):
    """The borders of BUY and SELL zone; ``closed``: sides without a price in theirs (pivot mode)."""

    buy_low: str
    buy_high: str
    sell_low: str
    sell_high: str
    closed: tuple[SideName, ...] = ()


class LevelView(msgspec.Struct, frozen=True, kw_only=True):
    """One order of ours, standing or wanted.

    ``live``: on the book; ``in-flight``: sent, outcome unknown; ``leaving``: being cancelled; ``missing``:
    wanted, not sent. ``point`` is the index on the lattice (-1: the touch); ``distance_pct`` is signed, from
    the price. ``why`` says in a line why it is wanted there and that large.
    """

    side: SideName
    price: str
    size: str
    wallet: int
    state: OrderState
    point: int
    distance_pct: str
    why: str


class WalletRow(msgspec.Struct, frozen=True, kw_only=True):
    """The funds of one wallet; ``sol_*`` is wrapped SOL, ``state`` a word for people such as "ready"."""

    index: int
    address: str
    gas_sol: str
    sol_free: str
    sol_locked: str
    tokens_free: str
    tokens_locked: str
    orders: int
    state: str


class FillView(msgspec.Struct, frozen=True, kw_only=True):
    """One of our orders matched; ``side`` is ours."""

    at: int
    side: SideName
    price: str
    size: str
    wallet: int


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the product, such as GRID_REBUILD, with its fields as one line of text."""

    at: int
    name: str
    text: str


class CountersView(msgspec.Struct, frozen=True, kw_only=True):
    """What was done since the start; ``errors`` counts by kind."""

    orders_placed: int
    orders_kept: int
    orders_cancelled: int
    bundles_sent: int
    bundles_landed: int
    bundles_failed: int
    bundles_expired: int
    fills: int
    volume_sol: str
    self_trades: int
    tips_sol: str
    fees_sol: str
    errors: dict[str, int]


class TreasuryView(msgspec.Struct, frozen=True, kw_only=True):
    """What the treasury holds, and what a SOL costs in dollars; ``firm``: sure enough to convert at."""

    sol: str
    usdc: str
    sol_usd: str | None
    seen_at: int
    firm: bool


class InventoryView(msgspec.Struct, frozen=True, kw_only=True):
    """All tokens of ours, their worth at P, and their part of what is owned."""

    tokens: str
    worth_sol: str
    share_pct: str


class PresenceView(msgspec.Struct, frozen=True, kw_only=True):
    """Share of the time with enough near P since the start, what stands there now, the mean spread."""

    bid_pct: str | None
    ask_pct: str | None
    both_pct: str | None
    bid_sol: str | None
    ask_sol: str | None
    spread_pct: str | None


class BandView(msgspec.Struct, frozen=True, kw_only=True):
    """Depth within ``pct`` of the middle of the book now, in SOL: ours and everybody's."""

    pct: str
    bid_own: str
    bid_all: str
    ask_own: str
    ask_all: str


class PartView(msgspec.Struct, frozen=True, kw_only=True):
    """One cause of profit or loss since the start."""

    name: str
    sol: str


class MarkoutView(msgspec.Struct, frozen=True, kw_only=True):
    """What our fills were worth ``seconds`` later, in basis points of it; positive is in our favour."""

    seconds: int
    bid_fills: int
    bid_bps: str | None
    ask_fills: int
    ask_bps: str | None


class BundleView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a bundle; ``cost_sol`` is what it cost if it landed."""

    at: int
    id: str
    outcome: str
    slot: int
    cost_sol: str
    reason: str


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the page shows; ``fills``, ``bundles`` (at most 50), ``events`` (100) are newest first.

    ``best_*`` is the whole book, ``foreign_*`` the book without our orders. ``pivot`` is the one used for
    quoting, ``pivot_raw`` what trades say; ``own_share_pct`` is our fills' part of the volume in it.
    """

    product: str
    version: str
    market: str
    symbol: str
    mode: Mode
    state: EngineState
    started: int
    now: int
    slot: int
    price: PriceView | None
    pivot: str | None
    pivot_raw: str | None
    own_share_pct: str | None
    channel: ChannelView | None
    best_bid: str | None
    best_ask: str | None
    foreign_bid: str | None
    foreign_ask: str | None
    spread_pct: str | None
    ladder: tuple[LevelView, ...]
    wallets: tuple[WalletRow, ...]
    fills: tuple[FillView, ...]
    events: tuple[EventView, ...]
    counters: CountersView
    equity_sol: str | None
    pnl_sol: str | None
    halt_reason: str
    treasury: TreasuryView | None
    inventory: InventoryView | None
    presence: PresenceView
    bands: tuple[BandView, ...]
    pnl_parts: tuple[PartView, ...]
    markouts: tuple[MarkoutView, ...]
    bundles: tuple[BundleView, ...]
    in_flight: int


class HistoryPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of the chart; ``seq`` counts up without reuse during one run."""

    seq: int
    at: int
    price: float | None
    pivot: float | None
    buy_low: float | None
    buy_high: float | None
    sell_low: float | None
    sell_high: float | None
    best_bid: float | None
    best_ask: float | None
