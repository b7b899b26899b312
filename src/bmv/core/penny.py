"""Penny: the first order of a side one tick in front of a serious rival (SPEC 3.4).

Rules of this file
- A rival is one order of somebody else, at least PENNY_MIN_RATIO times as large as our level was built, that
  stands inside our zone at a better price than our first order. Dust is passed over; several small ones are
  no rival, and of several rivals the foremost counts.
- Never nearer to P than MIN_SPREAD / 2, never through the other side, ours (live or wanted) or anybody's.
- None while a drawdown has widened the spread: that would take back what the stop is for.
- At most PENNY_MAX_PER_HOUR moves an hour, both sides together: whoever leaps ahead of us each time we move
  leads us no further than that, and our order stays where the last move put it.
"""

from bmv.config import HOUR_MS, Settings
from bmv.core.decay import BPS, FINE
from bmv.core.plan import own_range
from bmv.core.state import State
from bmv.model import Level, Quote, Side, Why
from bmv.units import BaseLots, Millis, Ticks


def penny_due(state: State, settings: Settings, first: Quote) -> bool:
    """Say whether a side's ``first`` order has a rival in front that it may pass now."""
    return may_move(state, settings) and front(state, settings, first) is not None


def may_move(state: State, settings: Settings) -> bool:
    """Say whether the hour has a move left."""
    since = state.now - Millis(HOUR_MS)
    return sum(at > since for at in state.market.pennies) < settings.penny_max_per_hour


def moved(state: State) -> None:
    """Count a move made now; forget those of more than an hour ago."""
    since = state.now - Millis(HOUR_MS)
    state.market.pennies = (*(at for at in state.market.pennies if at > since), state.now)


def front(state: State, settings: Settings, first: Level | Quote) -> Ticks | None:
    """Return where ``first`` would be one tick in front of its rival; None without a rival, or no room."""
    side, market = first.side, state.market
    assert market.channel is not None
    assert market.reading is not None
    rivals = state.book.bid_rivals if side is Side.BID else state.book.ask_rivals
    if not rivals:
        return None
    ahead = 1 if side is Side.BID else -1
    least = _built_size(first, state.spec.quote_lot_size) * int(settings.penny_min_ratio)
    rival = next((each for each in rivals if int(each.size) * BPS >= least), None)
    if market.presence.widened or rival is None or int(rival.price - first.price) * ahead <= 0:
        return None
    low, high = market.channel.borders(side)
    price = rival.price + Ticks(ahead)
    lowest, highest = market.channel.standable(side, market.reading.price_fine, state.book)
    nearest = _nearest(side, market.reading.price_fine, settings)
    fits = lowest <= int(price) <= highest and (int(price) - nearest) * ahead <= 0
    own = own_range([*state.target.quotes, *(o for view in state.views.values() for o in view.orders)])
    inside = low <= int(rival.price) * FINE <= high
    return price if inside and fits and own.admits(side, price) else None


def _built_size(first: Level | Quote, quote_lot_size: int) -> int:
    """Return the size the level was built with: what fills have left of it must not make dust a rival."""
    why = first.why
    if why is None:
        return int(first.size)
    one_lot = int(first.price) * quote_lot_size if first.side is Side.BID else 1
    return max(int(first.size), _money(why) // one_lot)


def _money(why: Why) -> int:
    return why.budget * why.share_ppm // 1_000_000


def _nearest(side: Side, price_fine: int, settings: Settings) -> int:
    """Return the tick nearest to P that MIN_SPREAD allows."""
    doubled, half = 2 * BPS * FINE, int(settings.min_spread)
    if side is Side.BID:
        return price_fine * (2 * BPS - half) // doubled
    return -(-price_fine * (2 * BPS + half) // doubled)


def sized(level: Level, price: Ticks) -> BaseLots:
    """Return the size of ``level`` at another price: no more money than before, at least a lot."""
    if level.side is Side.ASK or price <= level.price:
        return level.size
    return BaseLots(max(1, int(level.size) * int(level.price) // int(price)))
