"""Market, wallets, orders and states for the tests of the core, a line each."""

from collections.abc import Sequence

import msgspec

from bmv.config import Settings, load
from bmv.core.price import PriceReading
from bmv.core.state import Phase, State, Target, new_state
from bmv.model import ForeignBook, LiveOrder, MarketSpec, Quote, Side, WalletView
from bmv.units import BaseAtoms, BaseLots, Lamports, Millis, Slot, Ticks

SOL = 1_000_000_000
QUOTE_LOT = 1_000
BASE_LOT = 100
FREE_SLOTS = 128
START = Millis(1_000_000)


def later(ms: int) -> Millis:
    """Return the moment so long after the start."""
    return START + Millis(ms)


def settings(**keys: object) -> Settings:
    """Return settings with the given keys (``GRID_LEVELS=8``), the rest as by default."""
    return load(None, {f"BMV_{key}": str(value) for key, value in keys.items()})


def market(bids: int = 455, asks: int = 455, events: int = 2_978) -> MarketSpec:
    """Return a market whose lots are far from one, so that a missing factor shows."""
    return MarketSpec("market", "mint", 9, 9, BASE_LOT, QUOTE_LOT, bids, asks, events)


def order(wallet: int, side: Side, price: int, size: int, order_id: int = 0, client_id: int = 0) -> LiveOrder:
    """Return an order on the book; by default its id says wallet, side and price."""
    number = order_id or (wallet << 80 | side << 64 | price)
    return LiveOrder(wallet, side, Ticks(price), BaseLots(size), number, client_id)


def numbered(orders: Sequence[LiveOrder]) -> tuple[LiveOrder, ...]:
    """Give a wallet's orders the client ids 1, 2, ... where they have none."""
    return tuple(
        msgspec.structs.replace(each, client_id=each.client_id or number)
        for number, each in enumerate(orders, 1)
    )


def wallet(
    index: int,
    *,
    sol: int = 100 * SOL,
    lots: int = 1_000_000,
    orders: Sequence[LiveOrder] = (),
    slots: int | None = None,
    ready: bool = True,
) -> WalletView:
    """Return a wallet that owns ``sol`` lamports and ``lots`` in all; what its orders spend is locked."""
    bids = sum(int(o.price) * int(o.size) * QUOTE_LOT for o in orders if o.side is Side.BID)
    asks = sum(int(o.size) for o in orders if o.side is Side.ASK)
    return WalletView(
        wallet=index,
        gas=Lamports(SOL),
        quote_held=Lamports(sol - bids),
        quote_free=Lamports(0),
        quote_locked=Lamports(bids),
        base_held=BaseAtoms((lots - asks) * BASE_LOT),
        base_free=BaseAtoms(0),
        base_locked=BaseAtoms(asks * BASE_LOT),
        rent=Lamports(0),
        rebates=Lamports(0),
        order_slots=FREE_SLOTS - len(orders) if slots is None else slots,
        ready=ready,
        orders=numbered(orders),
    )


def quote(wallet_index: int, side: Side, price: int, size: int, point: int = 5) -> Quote:
    """Return a wanted quote."""
    return Quote(wallet_index, side, point, Ticks(price), BaseLots(size))


def quoting_state(
    views: Sequence[WalletView],
    quotes: Sequence[Quote] = (),
    *,
    spec: MarketSpec | None = None,
    book: ForeignBook | None = None,
) -> State:
    """Return a state in the middle of quoting, its chain seen just now."""
    state = new_state(spec or market(), len(views), START)
    state.phase, state.feed_up = Phase.QUOTING, True
    state.seen, state.seen_at, state.slot = Slot(100), START, Slot(100)
    state.book = book or ForeignBook()
    state.views = {view.wallet: view for view in views}
    state.target = Target(tuple(quotes))
    return state


def unconfirmed(state: State, price_fine: int) -> State:
    """Let a price jump wait for its confirmation."""
    state.market.reading = PriceReading(price_fine, "trades", False, price_fine * 2)
    return state
