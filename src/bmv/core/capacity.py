"""How many of our orders fit: the book's size, the headroom left to others, the wallets' seats (SPEC 3.5).

A full side of an OpenBook book evicts its worst order, which is ours: the ladder must never fill a side.
"""

from bmv.config import Settings
from bmv.core.decay import BPS
from bmv.core.ladder import shares
from bmv.core.state import State
from bmv.errors import BadInput
from bmv.model import BID, SIDES, MarketSpec, Side

LEAST_LEVELS = 2


def room(side: Side, spec: MarketSpec, settings: Settings) -> int:
    """Return how many orders of ours a side may hold: what the book holds less BOOK_HEADROOM, rounded up."""
    size = _size(side, spec)
    return size - -(-size * int(settings.book_headroom) // BPS)


def capacity(side: Side, state: State, settings: Settings) -> int:
    """Return how many orders of ours a side may hold now; others may have taken more than the headroom."""
    foreign = state.book.bid_orders if side is BID else state.book.ask_orders
    return min(room(side, state.spec, settings), _size(side, state.spec) - foreign)


def most_levels(spec: MarketSpec, wallet_count: int, settings: Settings) -> int:
    """Return the largest ladder, both sides together, that the wallets' seats and the book have room for."""
    rooms = {side: room(side, spec, settings) for side in SIDES}
    levels = min(wallet_count * settings.orders_per_wallet, sum(rooms.values()))
    while levels > LEAST_LEVELS:
        wanted = shares(levels, settings.buy_density, settings)
        if all(wanted[side] <= rooms[side] for side in SIDES):
            break
        levels -= 1
    return max(LEAST_LEVELS, levels)


def grid_levels(state: State, settings: Settings) -> int:
    """Return how many levels both sides share: GRID_LEVELS, by default as many as there is room for."""
    most = most_levels(state.spec, state.staying, settings)
    return most if settings.grid_levels is None else min(settings.grid_levels, most)


def check_levels(spec: MarketSpec, wallet_count: int, settings: Settings) -> None:
    """Raise BadInput where GRID_LEVELS asks for more than the wallets or the book have room for."""
    most = most_levels(spec, wallet_count, settings)
    if settings.grid_levels is None or settings.grid_levels <= most:
        return
    bids, asks = (room(side, spec, settings) for side in SIDES)
    percent = int(settings.book_headroom) // 100
    allowed = (
        f"at most {most}: {wallet_count} wallets x ORDERS_PER_WALLET {settings.orders_per_wallet}, and the"
        f" book has room for {bids} bids and {asks} asks of ours beside the {percent} % left to others"
    )
    raise BadInput("GRID_LEVELS", settings.grid_levels, allowed, "settings and market together")


def _size(side: Side, spec: MarketSpec) -> int:
    return spec.bid_capacity if side is BID else spec.ask_capacity
