"""Levels that a full book pushed out: each waits before it is tried again, longer every time.

A stranger who floods a side with one-lot orders would otherwise make us pay for putting ours back.
"""

from bmv.config import DAY_MS, Settings
from bmv.core.capacity import capacity
from bmv.core.failures import Backoff
from bmv.core.state import State
from bmv.events import AnyAction, Report
from bmv.model import Side
from bmv.units import Millis, Ticks

EVICTED_MEMORY_MS = Millis(DAY_MS)
"""So long an eviction counts as one more of the same: who floods the book again and again costs little."""
FLOOD_LEVELS = 8
"""So many evicted levels of one side at once are a flood of the book, not bad luck."""


def rest_level(state: State, side: Side, price: Ticks, settings: Settings) -> None:
    """Let a lost level wait before it is tried again; forget those whose time is long over."""
    state.evicted = {
        key: rest
        for key, rest in state.evicted.items()
        if rest.until + max(rest.wait, EVICTED_MEMORY_MS) > state.now
    }
    known = state.evicted.get((side, price))
    state.evicted[side, price] = Backoff.after(known, state.now, settings.evict_backoff, EVICTED_MEMORY_MS)


def resting(state: State) -> dict[Side, int]:
    """Return how many levels of each side wait after an eviction."""
    waiting = [side for (side, _), rest in state.evicted.items() if rest.until > state.now]
    return {side: waiting.count(side) for side in Side}


def flooded(state: State, before: dict[Side, int]) -> list[AnyAction]:
    """Tell once when somebody's orders push many of ours out of the book."""
    book, now = state.book, resting(state)
    others = {Side.BID: book.bid_orders, Side.ASK: book.ask_orders}
    return [
        Report("BOOK_FLOODED", {"side": side.name, "evicted": now[side], "orders_of_others": others[side]})
        for side in Side
        if before[side] < FLOOD_LEVELS <= now[side]
    ]


def side_is_full(state: State, side: Side, settings: Settings) -> bool:
    """Say whether our orders take all the room of a side that is left to us."""
    own = sum(order.side is side for view in state.views.values() for order in view.orders)
    return own >= capacity(side, state, settings)
