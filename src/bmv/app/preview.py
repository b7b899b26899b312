"""What ladder settings come to: one decision of the real engine for an example treasury.

Rules of this file
- The moment is the plainest there is: price, average and Pivot are one, nobody else has an order, nothing was
  bought before, and the last trade was just now (so the inside spread is at its widest).
- Depth counts what stands within a distance of the price, that distance included.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from bmv.config import Settings
from bmv.core.capacity import check_levels
from bmv.core.decide import decide
from bmv.core.state import State, new_state
from bmv.errors import BadInput
from bmv.events import MarketSeen
from bmv.model import DEPTH_BANDS, ForeignBook, MarketSpec, Quote, Side, Trade, WalletView
from bmv.sandbox.market_genesis import lots_for
from bmv.units import LAMPORTS_PER_SOL, BaseAtoms, BaseLots, Lamports, Millis, Slot, notional

DECIMALS = 9
BOOK_SIDE = 455
ORDER_SLOTS = 128
NOW = Millis(86_400_000)


class Example(msgspec.Struct, frozen=True):
    """A treasury: SOL for bids and tokens for asks of all wallets together, the price in SOL per token."""

    sol: Decimal = Decimal(100)
    tokens: Decimal = Decimal(10_000)
    price: Decimal = Decimal("0.01")
    wallets: int = 4


class Depth(msgspec.Struct, frozen=True):
    """What stands on both sides within a distance of the price."""

    within_pct: Decimal
    bid_sol: Decimal
    bid_tokens: Decimal
    ask_sol: Decimal
    ask_tokens: Decimal


class Preview(msgspec.Struct, frozen=True):
    """The ladder of an example; ``spread_pct`` is None where a side is empty.

    ``refused`` says why a start with so many wallets would be refused; then the ladder has fewer levels.
    """

    example: Example
    bids: int
    asks: int
    best_bid: Decimal | None
    best_ask: Decimal | None
    lowest_bid: Decimal | None
    highest_ask: Decimal | None
    spread_pct: Decimal | None
    idle_spread_pct: Decimal
    depth: tuple[Depth, ...]
    refused: str


def preview(settings: Settings, example: Example) -> Preview:
    """Return the ladder that ``settings`` give; raise BadInput where the price leaves no room for ticks."""
    lots = lots_for(example.price, DECIMALS)
    spec = MarketSpec("", "", DECIMALS, 9, lots.base, lots.quote, BOOK_SIDE, BOOK_SIDE, BOOK_SIDE)
    # The one trade there was is the Pivot; a seed or SOL's history would put it elsewhere.
    state = _quoting(spec, settings.model_copy(update={"pivot_mode": "pure"}), example)
    return _seen_from_outside(spec, state.target.quotes, settings, example)


def _quoting(spec: MarketSpec, settings: Settings, example: Example) -> State:
    state = new_state(spec, example.wallets, NOW)
    price = spec.ticks(example.price)
    enough = int(settings.ref_notional) // (int(price) * spec.quote_lot_size) + 1
    seen = MarketSeen(
        at=NOW,
        slot=Slot(1),
        book=ForeignBook(),
        wallets=tuple(_wallet(index, spec, settings, example) for index in range(example.wallets)),
        trades=(Trade(1, NOW, price, BaseLots(enough), Side.BID, False),),
    )
    return decide(state, seen, settings)[0]


def _wallet(index: int, spec: MarketSpec, settings: Settings, example: Example) -> WalletView:
    lots = int(example.tokens * 10**spec.base_decimals / spec.base_lot_size) // example.wallets
    return WalletView(
        wallet=index,
        gas=settings.gas_floor,
        quote_held=Lamports(int(example.sol * LAMPORTS_PER_SOL) // example.wallets),
        quote_free=Lamports(0),
        quote_locked=Lamports(0),
        base_held=BaseAtoms(lots * spec.base_lot_size),
        base_free=BaseAtoms(0),
        base_locked=BaseAtoms(0),
        rent=Lamports(0),
        rebates=Lamports(0),
        order_slots=ORDER_SLOTS,
        ready=True,
        orders=(),
    )


def _seen_from_outside(
    spec: MarketSpec, quotes: tuple[Quote, ...], settings: Settings, example: Example
) -> Preview:
    bids = [quote for quote in quotes if quote.side is Side.BID]
    asks = [quote for quote in quotes if quote.side is Side.ASK]
    best_bid = spec.price(max(quote.price for quote in bids)) if bids else None
    best_ask = spec.price(min(quote.price for quote in asks)) if asks else None
    spread = (best_ask - best_bid) / example.price * 100 if best_bid and best_ask else None
    return Preview(
        example=example,
        bids=len(bids),
        asks=len(asks),
        best_bid=best_bid,
        best_ask=best_ask,
        lowest_bid=spec.price(min(quote.price for quote in bids)) if bids else None,
        highest_ask=spec.price(max(quote.price for quote in asks)) if asks else None,
        spread_pct=None if spread is None else round(spread, 3),
        idle_spread_pct=Decimal(int(settings.min_spread)) / 100,
        refused=_refused(spec, settings, example.wallets),
        depth=depth_of(spec, quotes, example.price),
    )


def _refused(spec: MarketSpec, settings: Settings, wallets: int) -> str:
    try:
        check_levels(spec, wallets, settings)
    except BadInput as error:
        return f"{error.field} = {error.value} is refused at the start: {error.allowed}"
    return ""


def depth_of(spec: MarketSpec, quotes: Sequence[Quote], price: Decimal) -> tuple[Depth, ...]:
    """Return what quotes put within each of ``DEPTH_BANDS`` of a price in SOL per token."""
    bids = [quote for quote in quotes if quote.side is Side.BID]
    asks = [quote for quote in quotes if quote.side is Side.ASK]
    return tuple(_depth(spec, bids, asks, price, bps) for bps in DEPTH_BANDS)


def _depth(spec: MarketSpec, bids: list[Quote], asks: list[Quote], price: Decimal, bps: int) -> Depth:
    share = Decimal(bps) / 10_000
    near_bids = [quote for quote in bids if spec.price(quote.price) >= price * (1 - share)]
    near_asks = [quote for quote in asks if spec.price(quote.price) <= price * (1 + share)]
    return Depth(Decimal(bps) / 100, *_worth(spec, near_bids), *_worth(spec, near_asks))


def _worth(spec: MarketSpec, quotes: list[Quote]) -> tuple[Decimal, Decimal]:
    """Return what quotes are worth in SOL, and their tokens."""
    lamports = sum(int(notional(quote.price, quote.size, spec.quote_lot_size)) for quote in quotes)
    lots = sum((quote.size for quote in quotes), BaseLots(0))
    return Decimal(lamports) / LAMPORTS_PER_SOL, spec.size(lots)
