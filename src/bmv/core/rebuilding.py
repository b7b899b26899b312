"""Rebuild the target: when a trigger says so, from scratch, never patched (SPEC 3.4 and 3.6).

Between triggers the target only falls by what is filled. A trigger that concerns one side leaves the other
as it is, and one that concerns the first orders what stands behind them, unless that would make two of our
orders meet. Sizes are bound to what stands (``binding.py``); orders grow in calm only (``_grows``).
"""

from collections.abc import Sequence

import msgspec

from bmv.config import Settings
from bmv.core import penny
from bmv.core.allocation import spent
from bmv.core.binding import bound
from bmv.core.capacity import capacity, grid_levels, room
from bmv.core.decay import BPS
from bmv.core.exposure import ask_cap, bid_cap, value
from bmv.core.funding import proposals
from bmv.core.guarding import usable
from bmv.core.ladder import (
    SideLadder,
    Zone,
    build_side,
    buy_budget,
    pace_credit,
    pace_step,
    sell_budget,
    shares,
)
from bmv.core.lattice import Lattice
from bmv.core.plan import own_range
from bmv.core.segments import fitted
from bmv.core.state import State, Target
from bmv.core.target import dense_step
from bmv.core.triggers import (
    OTHER_SETTINGS,
    SOL_COLLECTED,
    SOL_SENT,
    TOP_UP,
    Trigger,
    due,
    worth_sending,
)
from bmv.model import TOUCH, Clip, Level, Quote, Side
from bmv.units import BaseLots, Bps, Lamports, Ticks, atoms_to_lots

TOUCH_KEPT_BPS = 25


def rebuild_if_due(state: State, settings: Settings) -> Trigger | None:
    """Rebuild the target if a trigger says so; return the trigger, None where nothing is worth sending.

    Needs a confirmed price: ``state.market`` must hold a reading and a channel.
    """
    trigger = due(state, settings)
    if trigger is None:
        return None
    pennies = state.market.pennies
    levels = _levels(state, settings, trigger)
    if own_range(levels).crossed:
        trigger = Trigger(trigger.name, trigger.cause)
        state.market.pennies = pennies
        levels = _levels(state, settings, trigger)
    fit, before = usable(state), state.target.wallets
    came = bool(before) and any(view.wallet not in before for view in fit)
    quotes, waiting = fitted(levels, fit, state.spec, settings, state.flying_places(), reshape=came)
    old, whole = state.target, trigger.whole
    if trigger.name == "forced" and not worth_sending(old.quotes, quotes, settings):
        old.built_at, state.market.pennies = state.now, pennies
        return None
    built = {} if trigger.inner else dict.fromkeys(trigger.sides, state.now)
    if trigger.cause == TOP_UP and not (old.quotes or quotes):
        old.topped_up_at = old.topped_up_at | built
        return None
    state.target = Target(
        quotes=quotes,
        prices=old.prices | dict.fromkeys(built, price_fine(state)),
        built_at=state.now if whole else old.built_at,
        grown_at=state.now if _grows(state, settings, trigger) else old.grown_at,
        moved_at=state.now if trigger.name == "threshold" else old.moved_at or state.now,
        waiting=waiting,
        transfers=proposals(quotes, waiting, fit, state.spec, settings),
        # Only top-ups count as such: a touch taken soon after a rebuild need not wait for the next one.
        topped_up_at=old.topped_up_at if whole else old.topped_up_at | built,
        wallets=state.ready_wallets(),
    )
    if whole:
        state.signal = ""
    if whole or trigger.inner:
        state.market.presence.quote(state.now, settings)
    return trigger


def price_fine(state: State) -> int:
    """Return P in fine ticks; there must be one."""
    assert state.market.reading is not None
    return state.market.reading.price_fine


def _levels(state: State, settings: Settings, trigger: Trigger) -> list[Level]:
    """Return what is wanted: what the trigger concerns built anew, the rest as it is."""
    if trigger.whole:
        density = dense_step(state, settings)
        if density != state.market.density or state.ready_wallets() != state.target.wallets:
            # At the first ladder too: what is remembered of an earlier run may be of other settings.
            state.market.density = density
            drop_unfit_lattices(state, settings)
    levels: list[Level] = []
    for side in Side:
        levels += _built(state, settings, side, trigger) if side in trigger.sides else _wanted(state, side)
    return levels


def _wanted(state: State, side: Side) -> list[Level]:
    """Return a side's levels as they are."""
    quotes = (quote for quote in state.target.quotes if quote.side is side)
    return [Level(side, quote.point, quote.price, quote.size, quote.why) for quote in quotes]


def _built(state: State, settings: Settings, side: Side, trigger: Trigger) -> Sequence[Level]:
    if side in state.guards.stopped:
        return ()
    ladder = _ladder(state, settings, side)
    if settings.grow_after_syncs and trigger.cause != OTHER_SETTINGS:
        calm = _grows(state, settings, trigger)
        rested = trigger.name == "forced" and _rested(state, settings)
        ladder = bound(ladder, _standing(state, side), state.spec, settings, calm=calm, rested=rested)
    if not ladder.levels or ladder.levels[0].point != TOUCH:
        return ladder.levels
    innermost = next((quote for quote in state.target.quotes if quote.side is side), None)
    standing = innermost if innermost and innermost.point == TOUCH else None
    first, *others = ladder.levels
    if standing is not None and not state.market.presence.step_due(state.now, settings):
        first = _with_touch_at(first, standing.price, others, state)
    first = _in_front(first, standing, state, settings)
    if not trigger.inner or standing is None:
        state.market.weights[side] = ladder.weights
        return [first, *others]
    merged = _inner(first, others, standing, _wanted(state, side)[1:])
    fits = spent(side, merged, state.spec) <= ladder.standing + ladder.waiting + ladder.rest
    return merged if fits else [first, *others]


def _inner(first: Level, others: Sequence[Level], standing: Quote, old: Sequence[Level]) -> list[Level]:
    """Move the first order alone: levels it now leaves room for appear, those it passed leave."""
    outwards = -1 if first.side is Side.BID else 1
    place = first.why.point if first.why else TOUCH
    behind = [
        level for level in old if int(level.price - first.price) * outwards > 0 and level.point != place
    ]
    between = [level for level in others if old and int(old[0].price - level.price) * outwards > 0]
    size = min(first.size, standing.size)
    return [Level(first.side, TOUCH, first.price, size, first.why), *between, *behind]


def _in_front(first: Level, standing: Quote | None, state: State, settings: Settings) -> Level:
    """Put the first order one tick in front of a rival, if there is one and the hour has a move left."""
    price = penny.front(state, settings, first)
    moves = standing is None or price != standing.price
    if price is None or (moves and not penny.may_move(state, settings)):
        return first
    if moves:
        penny.moved(state)
    why = first.why and first.why.cut_by(Clip.RIVAL)
    return Level(first.side, TOUCH, price, penny.sized(first, price), why)


def _with_touch_at(touch: Level, price: Ticks, others: Sequence[Level], state: State) -> Level:
    """Leave the touch order at its price while that is near enough and still in front of its neighbours."""
    near = int(abs(price - touch.price)) * BPS <= int(touch.price) * TOUCH_KEPT_BPS
    bid, zones = touch.side is Side.BID, state.market.channel
    assert zones is not None
    lowest, highest = zones.standable(touch.side, price_fine(state), state.book)
    in_front = not others or (price > others[0].price if bid else price < others[0].price)
    kept = near and lowest <= int(price) <= highest and in_front
    return Level(touch.side, TOUCH, price, penny.sized(touch, price), touch.why) if kept else touch


def fresh_lattice(state: State, settings: Settings, side: Side) -> Lattice:
    """Return the lattice that would be anchored now; there must be a channel."""
    zones, bid = state.market.channel, side is Side.BID
    assert zones is not None
    anchor = zones.anchor if bid else zones.sell_low
    width = settings.buy_channel_width if bid else settings.sell_channel_width
    # Pivot mode has zones of the bare width, follow mode wider ones.
    band = settings.anchor_band if settings.channel_mode == "follow" else Bps(0)
    return Lattice.anchored(side, anchor, width, 2 * side_levels(state, settings, side), band)


def side_levels(state: State, settings: Settings, side: Side) -> int:
    """Return a side's share of GRID_LEVELS at the density in force, at most what the book has room for."""
    density = state.market.density or settings.buy_density
    share = shares(grid_levels(state, settings), density, settings)[side]
    return min(share, room(side, state.spec, settings))


def drop_unfit_lattices(state: State, settings: Settings) -> None:
    """Forget the lattices whose ratio is no longer the right one; those that still fit stay."""
    for side, lattice in list(state.market.lattices.items()):
        if fresh_lattice(state, settings, side).step != lattice.step:
            del state.market.lattices[side]


def _grows(state: State, settings: Settings, trigger: Trigger) -> bool:
    """Say whether orders that stand may be made larger: not while the price moves, nor for one side or order.

    What a moving market makes larger it makes smaller again within the hour, and each time writes it twice.
    """
    waited = state.now - state.target.grown_at >= settings.grow_after_syncs * settings.forced_sync
    moving = trigger.name == "threshold" or trigger.cause in (SOL_SENT, SOL_COLLECTED)
    return trigger.whole and (not moving or waited)


def _rested(state: State, settings: Settings) -> bool:
    """Say whether P has stood so long that sizes which a trend has bent are worth setting anew."""
    return state.now - state.target.moved_at >= settings.grow_after_syncs * settings.forced_sync


def _standing(state: State, side: Side) -> dict[Ticks, BaseLots]:
    """Return the sizes of a side's orders by price, of those that stand and those under way."""
    under_way = {place.price: place.size for place in state.flying_places() if place.side is side}
    views = state.views.values()
    return under_way | {o.price: o.size for view in views for o in view.orders if o.side is side}


def _ladder(state: State, settings: Settings, side: Side) -> SideLadder:
    market, bid = state.market, side is Side.BID
    assert market.channel is not None
    if side not in market.lattices:
        market.lattices[side] = fresh_lattice(state, settings, side)
    low, high = market.channel.borders(side)
    budget, clip = _budget(state, settings, side)
    free = max(0, capacity(side, state, settings))
    zone = Zone(
        lattice=market.lattices[side],
        low_fine=low,
        high_fine=high,
        levels=side_levels(state, settings, side),
        budget=budget,
        price_fine=price_fine(state),
        opposite=state.book.best_ask if bid else state.book.best_bid,
        spread=market.presence.spread_bps(state.now, settings),
        size_ratio=settings.buy_size_ratio if bid else settings.sell_size_ratio,
        reanchor=settings.reanchor,
        quote_lot_size=state.spec.quote_lot_size,
        clip=clip,
        binding=market.channel.binding,
    )
    ladder = build_side(zone, market.weights.get(side))
    if len(ladder.levels) <= free:
        return ladder
    return msgspec.structs.replace(ladder, levels=_marked(ladder.levels, free))


def _marked(levels: Sequence[Level], free: int) -> tuple[Level, ...]:
    """Say of the outermost levels that others have taken their room in the book.

    They stay wanted, ``limits`` lets them wait: who fills and empties the book must not make us write the
    ladder anew each time.
    """
    beyond = [
        Level(level.side, level.point, level.price, level.size, level.why and level.why.cut_by(Clip.CAPACITY))
        for level in levels[free:]
    ]
    return (*levels[:free], *beyond)


def _budget(state: State, settings: Settings, side: Side) -> tuple[int, Clip]:
    """Return what a side may spend, and what cut it."""
    spec, price = state.spec, price_fine(state)
    views = usable(state)
    sol = sum([view.quote_total for view in views], Lamports(0))
    if side is Side.ASK:
        tokens = sum([atoms_to_lots(view.base_total, spec.base_lot_size) for view in views], BaseLots(0))
        equity = sol + value(tokens, price, spec.quote_lot_size)
        above = int(sell_budget(tokens, equity, price, spec.quote_lot_size, settings.min_base_share))
        most = ask_cap(state, settings, price).planned
        kept = Clip.STOCK if above < int(tokens) else Clip.NONE
        return min(above, most), Clip.EXPOSURE if most < above else kept
    cap = bid_cap(state, settings, price).planned
    # What a wallet lacks of its gas floor is not there to be bid.
    lacking = sum([max(Lamports(0), settings.gas_floor - view.gas) for view in views], Lamports(0))
    sol = max(Lamports(0), sol - lacking)
    flow = state.flow
    flow.forget_sales(pace_credit(sol, settings), state.now)
    flow.pace = pace_step(sol, Lamports(flow.paid(state.now)), settings, flow.pace)
    paced = buy_budget(sol, sol, flow.pace)
    if cap < int(paced):
        return cap, Clip.EXPOSURE
    return int(paced), Clip.PACE if paced < sol else Clip.NONE
