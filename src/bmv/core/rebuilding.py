"""Rebuild the target: when a trigger says so, from scratch, never patched (SPEC 3.4 and 3.6).

Between triggers the target only falls by what is filled. A trigger that concerns one side leaves the other
as it is, unless the two would meet.
"""

from collections.abc import Sequence

from bmv.config import Settings
from bmv.core.allocation import assign
from bmv.core.capacity import capacity, grid_levels
from bmv.core.decay import BPS, FINE
from bmv.core.funding import proposals
from bmv.core.ladder import SideLadder, Zone, build_side, buy_budget, exposure_cap, sell_budget, shares
from bmv.core.lattice import Lattice
from bmv.core.plan import own_range
from bmv.core.state import State, Target
from bmv.model import TOUCH, Clip, Level, Quote, Side
from bmv.units import BaseLots, Bps, Lamports, Millis, Ticks, atoms_to_lots

TOUCH_KEPT_BPS = 25
FORCED_MOVE_BPS = 30
_BOTH = (Side.BID, Side.ASK)


def rebuild_if_due(state: State, settings: Settings) -> str:
    """Rebuild the target if a trigger says so; return the trigger, '' where nothing is worth sending.

    Needs a confirmed price: ``state.market`` must hold a reading and a channel.
    """
    trigger, sides = _trigger(state, settings)
    if not trigger:
        return ""
    # Only top-ups count as such: a touch taken soon after a rebuild need not wait for the next one.
    topped = state.target.topped_up_at | (dict.fromkeys(sides, state.now) if sides != _BOTH else {})
    levels = _levels(state, settings, sides)
    if own_range(levels).crossed:
        sides = _BOTH
        levels = _levels(state, settings, sides)
    ready = [view for _, view in sorted(state.views.items()) if view.ready]
    quotes, waiting = assign(levels, ready, state.spec, settings)
    old = state.target
    if trigger == "forced" and _too_little(old.quotes, quotes, settings):
        old.built_at = state.now
        return ""
    prices = {**old.prices, **dict.fromkeys(sides, price_fine(state))}
    built_at = state.now if sides == _BOTH else old.built_at
    transfers = proposals(quotes, waiting, ready, state.spec, settings)
    state.target = Target(quotes, prices, built_at, waiting, transfers, topped)
    if sides == _BOTH:
        state.market.presence.quote(state.now, settings)
    return trigger


def price_fine(state: State) -> int:
    """Return P in fine ticks; there must be one."""
    assert state.market.reading is not None
    return state.market.reading.price_fine


def _trigger(state: State, settings: Settings) -> tuple[str, tuple[Side, ...]]:
    """Return why the target must be rebuilt ('' if it need not be) and which sides."""
    target, price = state.target, price_fine(state)
    lost = {quote.wallet for quote in target.quotes if not state.views[quote.wallet].ready}
    if lost or not target.prices:
        return "signal", _BOTH
    threshold = int(settings.rebalance_threshold)
    if any(abs(price - built) * BPS > built * threshold for built in target.prices.values()):
        return "threshold", _BOTH
    if state.market.presence.step_due(state.now, settings):
        return "local", _BOTH
    if state.now - target.built_at >= settings.forced_sync:
        return "forced", _BOTH
    standing = {quote.side for quote in target.quotes if quote.point == TOUCH}
    for side in _BOTH:
        rested = state.now - target.topped_up_at.get(side, Millis(0)) >= settings.topup_min_interval
        if side not in standing and side not in state.market.closed and rested:
            return "local", (side,)
    return "", ()


def _levels(state: State, settings: Settings, sides: Sequence[Side]) -> list[Level]:
    """Return what is wanted: ``sides`` built anew, the others as they are."""
    levels: list[Level] = []
    for side in Side:
        if side in sides:
            levels += _built(state, settings, side)
        else:
            old = [quote for quote in state.target.quotes if quote.side is side]
            levels += [Level(q.side, q.point, q.price, q.size, q.why) for q in old]
    return levels


def _built(state: State, settings: Settings, side: Side) -> tuple[Level, ...]:
    ladder = _ladder(state, settings, side)
    state.market.weights[side] = ladder.weights
    levels = ladder.levels
    stepped = state.market.presence.step_due(state.now, settings)
    standing = [q for q in state.target.quotes if q.side is side and q.point == TOUCH]
    if not stepped and standing and levels and levels[0].point == TOUCH:
        return (_with_touch_at(levels[0], standing[0].price, levels[1:], state), *levels[1:])
    return levels


def _with_touch_at(touch: Level, price: Ticks, others: Sequence[Level], state: State) -> Level:
    """Leave the touch order at its price while that is near enough and still in front of its neighbours."""
    near = int(abs(price - touch.price)) * BPS <= int(touch.price) * TOUCH_KEPT_BPS
    bid, zones = touch.side is Side.BID, state.market.channel
    assert zones is not None
    lowest, highest = zones.standable(touch.side, price_fine(state), state.book)
    in_front = not others or (price > others[0].price if bid else price < others[0].price)
    kept = near and lowest <= int(price) <= highest and in_front
    return Level(touch.side, TOUCH, price, touch.size, touch.why) if kept else touch


def fresh_lattice(state: State, settings: Settings, side: Side) -> Lattice:
    """Return the lattice that would be anchored now; there must be a channel."""
    zones, bid = state.market.channel, side is Side.BID
    assert zones is not None
    anchor = zones.anchor if bid else zones.sell_low
    width = settings.buy_channel_width if bid else settings.sell_channel_width
    band = Bps(0) if zones.binding else settings.anchor_band
    return Lattice.anchored(side, anchor, width, grid_levels(state, settings), band)


def _ladder(state: State, settings: Settings, side: Side) -> SideLadder:
    market, bid = state.market, side is Side.BID
    assert market.channel is not None
    levels = grid_levels(state, settings)
    counts = shares(levels, settings.buy_density, settings)
    if side not in market.lattices:
        market.lattices[side] = fresh_lattice(state, settings, side)
    low, high = market.channel.borders(side)
    budget, clip = _budget(state, settings, side)
    room = max(1, capacity(side, state, settings))
    zone = Zone(
        lattice=market.lattices[side],
        low_fine=low,
        high_fine=high,
        levels=min(counts[side], room),
        budget=budget,
        price_fine=price_fine(state),
        opposite=state.book.best_ask if bid else state.book.best_bid,
        spread=market.presence.spread_bps(state.now, settings),
        size_ratio=settings.buy_size_ratio if bid else settings.sell_size_ratio,
        reanchor=settings.reanchor,
        quote_lot_size=state.spec.quote_lot_size,
        clip=Clip.CAPACITY if room < counts[side] else clip,
        binding=market.channel.binding,
    )
    return build_side(zone, market.weights.get(side))


def _budget(state: State, settings: Settings, side: Side) -> tuple[int, Clip]:
    """Return what a side may spend, and what cut it."""
    spec, price = state.spec, price_fine(state)
    sol = sum((view.quote_total for view in state.views.values()), Lamports(0))
    tokens = sum(
        (atoms_to_lots(view.base_total, spec.base_lot_size) for view in state.views.values()), BaseLots(0)
    )
    if side is Side.ASK:
        equity = sol + _value(tokens, price, spec.quote_lot_size)
        return int(
            sell_budget(tokens, equity, price, spec.quote_lot_size, settings.min_base_share)
        ), Clip.NONE
    bought = _value(max(BaseLots(0), state.flow.net_base), price, spec.quote_lot_size)
    cap = exposure_cap(bought, sol, Lamports(0), settings.max_base_share)
    paced = buy_budget(sol, Lamports(state.flow.paid(state.now)), sol, settings)
    if cap < paced:
        return max(0, int(cap)), Clip.EXPOSURE
    return int(paced), Clip.PACE if paced < sol else Clip.NONE


def _value(lots: BaseLots, price: int, quote_lot_size: int) -> Lamports:
    return Lamports(int(lots) * price * quote_lot_size // FINE)


def _too_little(old: Sequence[Quote], new: Sequence[Quote], settings: Settings) -> bool:
    """Say whether a forced rebuild moves neither best price nor enough of the ladder's value."""
    for side in Side:
        before = [quote.price for quote in old if quote.side is side]
        after = [quote.price for quote in new if quote.side is side]
        if bool(before) != bool(after):
            return False
        if before and int(abs(before[0] - after[0])) * BPS >= int(before[0]) * FORCED_MOVE_BPS:
            return False
    was = {(quote.side, quote.price): quote for quote in old}
    total = changed = 0
    for quote in new:
        value = int(quote.price) * int(quote.size)
        match = was.pop((quote.side, quote.price), None)
        total += value
        changed += int(quote.price) * int(abs(quote.size - match.size)) if match else value
    changed += sum(int(quote.price) * int(quote.size) for quote in was.values())
    return changed * BPS < total * int(settings.rebuild_min_change)
