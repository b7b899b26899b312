"""The frozen values everything speaks in: market, orders, books, fills, funds.

Rules of this file
- Values are immutable; only ``core.state.State`` is not, and ``decide`` alone owns that one.
- Prices are ticks, sizes base lots, money lamports, tokens atoms. A human number never appears here.
- A wallet is its index in the configured list; addresses belong to the adapters.
"""

from decimal import Decimal
from enum import IntEnum, StrEnum

import msgspec

from bmv.units import (
    LAMPORTS_PER_SOL,
    BaseAtoms,
    BaseLots,
    Lamports,
    MicroUsd,
    Millis,
    Slot,
    Ticks,
)

WalletIndex = int
TOUCH = -1
"""Level of the order that stands at the inside spread; lattice points are positive."""
DEPTH_BANDS = (50, 100, 200, 500)
"""How near to the middle of the book orders count as depth, in basis points."""


class Side(IntEnum):
    """The side of the book an order rests on."""

    BID = 0
    ASK = 1

    @property
    def opposite(self) -> "Side":
        """Return the other side."""
        return Side.ASK if self is Side.BID else Side.BID


BID, ASK = SIDES = tuple(Side)
"""For what is asked of every order: in Python 3.11 finding a member in its class takes ten times as long."""


class MarketSpec(msgspec.Struct, frozen=True):
    """What the market's accounts say about it; ``capacity`` counts orders of everybody on one side."""

    address: str
    base_mint: str
    base_decimals: int
    quote_decimals: int
    base_lot_size: int
    quote_lot_size: int
    bid_capacity: int
    ask_capacity: int
    event_capacity: int

    def price(self, ticks: Ticks) -> Decimal:
        """Return a price in SOL per token."""
        return (
            Decimal(int(ticks) * self.quote_lot_size)
            / LAMPORTS_PER_SOL
            * Decimal(10) ** self.base_decimals
            / self.base_lot_size
        )

    def ticks(self, price: Decimal) -> Ticks:
        """Return the tick nearest to a price in SOL per token, at least 1."""
        exact = (
            price
            * LAMPORTS_PER_SOL
            * self.base_lot_size
            / (Decimal(10) ** self.base_decimals * self.quote_lot_size)
        )
        return Ticks(max(1, round(exact)))

    def size(self, lots: BaseLots) -> Decimal:
        """Return a size in tokens."""
        return Decimal(int(lots) * self.base_lot_size) / Decimal(10) ** self.base_decimals


class Clip(StrEnum):
    """What cut a level or the money it would have had, or put it elsewhere."""

    NONE = ""
    FUNDS = "wallet funds"
    LARGEST_ORDER = "largest order"
    SEATS = "seats"
    EXPOSURE = "exposure cap"
    CAPACITY = "book capacity"
    PACE = "buying pace"
    STOCK = "stock that is kept"
    FOREIGN_BOOK = "foreign book"
    RIVAL = "a rival it stands in front of"
    ZONE = "zone of the Pivot"
    BOUND = "moving market"


class Why(msgspec.Struct, frozen=True, gc=False):
    """The reason for a level: its place, its part of the money, and what cut it.

    ``rank`` counts the side's levels from the inside (0: the touch), ``point`` is the lattice point in whose
    place it stands, ``share_ppm`` its part of the budget by weight (merged neighbours included), ``budget``
    the side's, in lamports (bids) or base lots (asks).
    """

    rank: int
    point: int
    share_ppm: int
    budget: int
    clip: Clip = Clip.NONE

    def cut_by(self, clip: Clip) -> "Why":
        """Return the reason of a level that ``clip`` has cut last."""
        return Why(self.rank, self.point, self.share_ppm, self.budget, clip)


class Level(msgspec.Struct, frozen=True, gc=False):
    """One price the ladder wants: ``point`` is its index on the lattice, or ``TOUCH``."""

    side: Side
    point: int
    price: Ticks
    size: BaseLots
    why: Why | None = None


class Quote(msgspec.Struct, frozen=True, gc=False):
    """A level given to a wallet: what we want to stand there, and why (None: no ladder asked for it)."""

    wallet: WalletIndex
    side: Side
    point: int
    price: Ticks
    size: BaseLots
    why: Why | None = None


class LiveOrder(msgspec.Struct, frozen=True, gc=False):
    """One of our orders as the book holds it; ``size`` is what remains."""

    wallet: WalletIndex
    side: Side
    price: Ticks
    size: BaseLots
    order_id: int
    client_id: int


class Cancel(msgspec.Struct, frozen=True, gc=False):
    """The order to withdraw, with what a bundle needs to name it."""

    wallet: WalletIndex
    side: Side
    price: Ticks
    order_id: int
    client_id: int


class Placement(msgspec.Struct, frozen=True, gc=False):
    """An order to place; ``client_id`` (1..128) is free, or that of an order the same change withdraws."""

    wallet: WalletIndex
    side: Side
    point: int
    price: Ticks
    size: BaseLots
    client_id: int


class Rival(msgspec.Struct, frozen=True):
    """One order of somebody else, larger than every order in front of it on its side."""

    price: Ticks
    size: BaseLots


class ForeignBook(msgspec.Struct, frozen=True):
    """The book without our own orders, as far as decisions need it.

    ``best_*``: the true best prices; ``firm_*``: where orders add up to FOREIGN_MIN_SOL; None: no such.
    ``*_rivals``: best first; whatever size is asked for, the foremost order that large is one of them.
    ``*_depth``: what stands within each of ``DEPTH_BANDS`` of the middle of the whole book, ours included;
    empty while a side of it is.
    """

    best_bid: Ticks | None = None
    best_ask: Ticks | None = None
    firm_bid: Ticks | None = None
    firm_ask: Ticks | None = None
    bid_orders: int = 0
    ask_orders: int = 0
    bid_rivals: tuple[Rival, ...] = ()
    ask_rivals: tuple[Rival, ...] = ()
    bid_depth: tuple[Lamports, ...] = ()
    ask_depth: tuple[Lamports, ...] = ()


class Duty(StrEnum):
    """What a wallet is told to do: quote, rest with its funds, or leave for good; at last it is gone."""

    QUOTE = "quote"
    REST = "rest"
    LEAVE = "leave"
    GONE = "gone"


class WalletView(msgspec.Struct, frozen=True):
    """What the chain holds for one wallet, read at one slot.

    ``gas`` is plain SOL; ``*_held`` in the token account, ``*_free`` and ``*_locked`` in OpenOrders.
    ``order_slots`` counts the free slots of the OpenOrders account; ``ready`` says its accounts exist,
    ``frozen`` that the mint's authority has frozen one of them.
    """

    wallet: WalletIndex
    gas: Lamports
    quote_held: Lamports
    quote_free: Lamports
    quote_locked: Lamports
    base_held: BaseAtoms
    base_free: BaseAtoms
    base_locked: BaseAtoms
    rent: Lamports
    rebates: Lamports
    order_slots: int
    ready: bool
    orders: tuple[LiveOrder, ...] = ()
    frozen: bool = False

    @property
    def quote_total(self) -> Lamports:
        """Return all wrapped SOL of the wallet."""
        return self.quote_held + self.quote_free + self.quote_locked

    @property
    def base_total(self) -> BaseAtoms:
        """Return all tokens of the wallet."""
        return self.base_held + self.base_free + self.base_locked


class TableView(msgspec.Struct, frozen=True):
    """A lookup table of ours: whose accounts it holds, and for how many more addresses it has ``room``.

    ``retired`` is the slot in which it was deactivated, None while it is active.
    """

    address: str
    wallets: tuple[WalletIndex, ...]
    room: int
    retired: Slot | None = None


class Leftover(msgspec.Struct, frozen=True):
    """An account of a wallet of ours that the engine does not use, and the lamports it holds.

    It is an OpenOrders account of our market beside the wallet's own, with what can be settled from it
    (``quote``, ``base``), or an empty token account (``token``). ``orders`` stand on the book; ``idle`` says
    that neither those nor waiting events keep it from being closed. Told when it is gone, an account the
    engine did work with looks the same (``working``).
    """

    address: str
    wallet: WalletIndex
    lamports: Lamports
    token: bool = False
    quote: Lamports = Lamports(0)
    base: BaseAtoms = BaseAtoms(0)
    idle: bool = True
    orders: tuple[LiveOrder, ...] = ()
    working: bool = False


class Trade(msgspec.Struct, frozen=True):
    """One match on the market, anybody's; ``seq`` is the maker event's number in the queue.

    ``maker`` and ``taker`` are OpenOrders accounts; the taker's is empty where its half could not be read.
    """

    seq: int
    at: Millis
    price: Ticks
    size: BaseLots
    taker_side: Side
    own: bool
    maker: str = ""
    taker: str = ""


class Fill(msgspec.Struct, frozen=True):
    """One of our orders being matched; ``counterparty`` is the OpenOrders account on the other side.

    ``self_trade``: that account is ours as well (must never be).
    """

    seq: int
    at: Millis
    wallet: WalletIndex
    side: Side
    price: Ticks
    size: BaseLots
    maker: bool
    rebate: Lamports
    fee: Lamports
    order_id: int
    client_id: int
    counterparty: str = ""
    self_trade: bool = False


class Outcome(StrEnum):
    """How a bundle ended; between sending and this it is in flight.

    UNSENT: nobody can have seen it, and none of its changes is at fault.
    """

    LANDED = "landed"
    FAILED = "failed"
    EXPIRED = "expired"
    UNSENT = "unsent"


class BundleCost(msgspec.Struct, frozen=True):
    """What a landed bundle cost."""

    fees: Lamports = Lamports(0)
    tip: Lamports = Lamports(0)


class Rule(StrEnum):
    """Why SOL and USDC are exchanged; earlier ones go first."""

    INJECTION = "injection"
    DAMPER = "damper"
    LOWER = "lower half"
    UPPER = "upper half"


class Direction(StrEnum):
    """Which way a conversion goes."""

    BUY_SOL = "usdc to sol"
    SELL_SOL = "sol to usdc"


class Conversion(msgspec.Struct, frozen=True):
    """An exchange that is due; of ``usdc`` and ``sol`` the direction's first is spent, the other expected."""

    rule: Rule
    direction: Direction
    usdc: MicroUsd
    sol: Lamports
    why: str


class Share(msgspec.Struct, frozen=True):
    """What the treasury sends one wallet: wrapped SOL for its bids, or plain SOL for its gas."""

    wallet: WalletIndex
    lamports: Lamports
    is_gas: bool = False
