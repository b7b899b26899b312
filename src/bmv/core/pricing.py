"""Bring P, Pivot and channel up to date, in this order: each follows from those before it.

Rules of this file
- A start without a price (after a moment's patience, see ``quoting``), or without the Pivot that its modes
  need, is refused with a reason; an engine that quotes goes on.
- P walks only where that can refill a side.
- A side that finds no price in its zone is told of when that begins and when it ends.
"""

from bmv.config import Settings
from bmv.core.channel import channel, following
from bmv.core.limits import standstill
from bmv.core.pivot import SolFade
from bmv.core.prior import prior
from bmv.core.rebuilding import price_fine
from bmv.core.state import State
from bmv.events import Report
from bmv.model import Side

NO_PRICE = "no price to start from: no trade, no foreign orders on both sides, and no SEED_PRICE"
NO_PIVOT = "CHANNEL_MODE=pivot has no Pivot to stand around: no trade is recorded, and no SEED_PRICE set"
NO_SOL_USD = "PIVOT_MODE=sol_fade_in has no Pivot to start from: the oracle has not said what a SOL costs"


def reprice(state: State, settings: Settings) -> str:
    """Bring P, pivot and channel up to date; return why there can be none, else ''.

    What a start is refused for does not end what already quotes: a mode that was changed since to one that
    needs a Pivot there is not yet gets the zones of follow mode until there is.
    """
    market = state.market
    market.priced_at = state.now
    pivot = _pivot(state, settings)
    if pivot is None and settings.pivot_mode == "sol_fade_in" and market.channel is None:
        return NO_SOL_USD
    market.reading = market.tracker.reading(
        state.now, state.book, settings, walk=_walk(state, settings), pivot_fine=pivot
    )
    if market.reading is None:
        return NO_PRICE
    price = market.reading.price_fine
    average = market.inertia.step(price, state.now, settings.channel_inertia)
    zones = channel(price, average, pivot, settings)
    if zones is None and market.channel is None:
        return NO_PIVOT
    market.channel = zones or following(price, average, pivot, settings)
    return ""


def _pivot(state: State, settings: Settings) -> int | None:
    """Return the Pivot used for quoting, which follows the raw one by so much a day; None without any yet."""
    market, window = state.market, settings.history_window
    beside = prior(state.spec, settings, market.imported)
    sol_usd = state.oracle.history.exact(state.now, window) if isinstance(beside, SolFade) else None
    raw = market.pivot.value_fine(state.now, window, beside, sol_usd)
    return market.capped_pivot.step(raw, state.now, settings.pivot_max_daily_move)


def _walk(state: State, settings: Settings) -> int:
    """Return where P drifts when nothing else makes it: so that the empty one of our sides refills.

    A side without funds refills when the other one trades: P goes away from what stands. A side that found
    no price in its zone refills when P comes back into the channel: towards what stands. While nothing may be
    placed, or a guard has stopped a side, none can refill.
    """
    if state.guards.stopped or standstill(state, settings):
        return 0
    bids, asks = (
        any(order.side is side for view in state.views.values() for order in view.orders) for side in Side
    )
    if bids == asks:
        return 0
    empty, away = (Side.ASK, 1) if bids else (Side.BID, -1)
    return -away if empty in state.market.closed else away


def out_of_channel(state: State) -> list[Report]:
    """Remember which sides find no price in their zone; tell when that changes."""
    market, before = state.market, state.market.closed
    assert market.channel is not None
    market.closed = market.channel.closed_sides(price_fine(state), state.book)
    if market.closed == before:
        return []
    sides = " ".join(side.name for side in market.closed) or "none"
    pivot = market.capped_pivot.value_fine or 0
    return [Report("OUT_OF_CHANNEL", {"side": sides, "price_fine": price_fine(state), "pivot_fine": pivot})]
