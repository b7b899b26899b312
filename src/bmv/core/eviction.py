"""Levels that a full book pushed out: each waits before it is tried again, longer every time.

A stranger who floods a side with one-lot orders would otherwise make us pay for putting ours back. A level is
more than its very price: what is asked for nearer to it than half the way to the next point of the lattice is
the same level, moved by a tick.
"""

from bisect import bisect_left

from bmv.config import DAY_MS, Settings
from bmv.core.capacity import capacity
from bmv.core.decay import FINE
from bmv.core.failures import Backoff
from bmv.core.state import State
from bmv.events import AnyAction, Report
from bmv.model import SIDES, Side
from bmv.units import Millis, Ticks

EVICTED_MEMORY_MS = Millis(DAY_MS)
"""So long an eviction counts as one more of the same: who floods the book again and again costs little."""
LONG_AGO = Millis(0)
FLOOD_LEVELS = 8
"""So many evicted levels of one side at once are a flood of the book, not bad luck."""


def rest_level(state: State, side: Side, price: Ticks, settings: Settings) -> None:
    """Let a lost level wait before it is tried again; forget those whose time is long over."""
    state.evicted = {
        key: rest
        for key, rest in state.evicted.items()
        if rest.until + max(rest.wait, EVICTED_MEMORY_MS) > state.now
    }
    same = (known for known in _prices(state, side) if abs(known - price) <= reach(state, side, known))
    price = next(same, price)
    known = state.evicted.get((side, price))
    state.evicted[side, price] = Backoff.after(known, state.now, settings.evict_backoff, EVICTED_MEMORY_MS)


class Resting:
    """Which levels wait now."""

    def __init__(self, state: State) -> None:
        self._until = {side: _prices(state, side, now=state.now) for side in SIDES}
        self._reach = {
            side: [reach(state, side, price) for price in prices] for side, prices in self._until.items()
        }

    def __bool__(self) -> bool:
        return any(self._until.values())

    def holds(self, side: Side, price: Ticks) -> bool:
        """Say whether a level at this price waits."""
        prices = self._until[side]
        at = bisect_left(prices, price)
        return any(
            abs(prices[near] - price) <= self._reach[side][near]
            for near in (at - 1, at)
            if 0 <= near < len(prices)
        )


def reach(state: State, side: Side, price: Ticks) -> Ticks:
    """Return how far from a level's price another one is still the same."""
    lattice = state.market.lattices.get(side)
    if lattice is None:
        return Ticks(0)
    above = lattice.first_at(int(price) * FINE)
    apart = lattice.price_fine(above) - lattice.price_fine(above - 1)
    return Ticks(max(0, apart - 1) // (2 * FINE))


def _prices(state: State, side: Side, now: Millis = LONG_AGO) -> list[Ticks]:
    """Return the prices of a side's evicted levels that rest at ``now``, rising; all of them at first."""
    return sorted(price for (one, price), rest in state.evicted.items() if one is side and rest.until > now)


def resting(state: State) -> dict[Side, int]:
    """Return how many levels of each side wait after an eviction."""
    waiting = [one for (one, _), rest in state.evicted.items() if rest.until > state.now]
    return {side: waiting.count(side) for side in SIDES}


def flooded(state: State, before: dict[Side, int]) -> list[AnyAction]:
    """Tell once when somebody's orders push many of ours out of the book."""
    book, now = state.book, resting(state)
    if now == before:
        return []
    others = {Side.BID: book.bid_orders, Side.ASK: book.ask_orders}
    return [
        Report("BOOK_FLOODED", {"side": side.name, "evicted": now[side], "orders_of_others": others[side]})
        for side in SIDES
        if before[side] < FLOOD_LEVELS <= now[side]
    ]


def side_is_full(state: State, side: Side, settings: Settings) -> bool:
    """Say whether our orders take all the room of a side that is left to us."""
    own = sum(order.side is side for view in state.views.values() for order in view.orders)
    return own >= capacity(side, state, settings)
