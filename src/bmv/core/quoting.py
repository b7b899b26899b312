"""Quote: follow the price, rebuild the ladder when a trigger says so, repair it on every event.

The target is rebuilt from scratch by a trigger and never patched. Every event then diffs it with what stands
and what flies; whatever was lost, dropped or evicted is put back by that same path.
"""

from collections.abc import Sequence

from bmv.config import Settings
from bmv.core.allocation import assign
from bmv.core.channel import channel
from bmv.core.decay import BPS, FINE
from bmv.core.ladder import SideLadder, Zone, build_side, buy_budget, exposure_cap, sell_budget, shares
from bmv.core.lattice import Lattice
from bmv.core.limits import capacity
from bmv.core.plan import Plan, diff
from bmv.core.state import State, Target
from bmv.events import AnyAction, AnyEvent, Crank, Execute, Report, Tick
from bmv.model import TOUCH, Level, Quote, Side
from bmv.units import BaseLots, Lamports, Millis, Ticks, atoms_to_lots

PRICE_EVERY_MS = Millis(5_000)
TOUCH_KEPT_BPS = 25
FORCED_MOVE_BPS = 30
MAX_PLACES_PER_CHANGE = 24
CRANK_PENDING = 24
CRANK_LOW_SLOTS = 40
CRANK_EVERY_MS = Millis(60_000)
CRANK_APART_MS = Millis(3_000)


def quoting(state: State, event: AnyEvent, settings: Settings) -> list[AnyAction]:
    """Return what to change now; most events change nothing."""
    if not state.feed_up:
        return []
    if isinstance(event, Tick) and state.now - state.market.priced_at < PRICE_EVERY_MS:
        return []
    if not reprice(state, settings):
        return []
    # An unconfirmed jump: the old price stands, and nothing may be raised or lowered towards the new one.
    trigger, sides = _trigger(state, settings) if _confirmed(state) else ("", ())
    reports: list[AnyAction] = []
    if trigger and not _rebuild(state, settings, trigger, sides):
        trigger = ""
    plan = diff(_placeable(state), [view for _, view in sorted(state.views.items())], state.busy(), settings)
    if trigger:
        reports.append(_rebuilt(state, plan, trigger))
    return [*reports, *_changes(state, plan), *_crank(state)]


def reprice(state: State, settings: Settings) -> bool:
    """Bring P, pivot and channel up to date; return False while there is no price at all."""
    market = state.market
    market.priced_at = state.now
    own = _own_best(state)
    pivot = market.capped_pivot.step(
        market.pivot.value_fine(state.now), state.now, settings.pivot_max_daily_move
    )
    market.reading = market.tracker.reading(
        state.now,
        state.book,
        settings,
        own_best_bid=own[Side.BID],
        own_best_ask=own[Side.ASK],
        pivot_fine=pivot,
    )
    if market.reading is None:
        return False
    price = market.reading.price_fine
    average = market.inertia.step(price, state.now, settings.channel_inertia)
    market.channel = channel(price, average, pivot, settings)
    return True


def _own_best(state: State) -> dict[Side, Ticks | None]:
    best: dict[Side, Ticks | None] = {Side.BID: None, Side.ASK: None}
    for view in state.views.values():
        for order in view.orders:
            known = best[order.side]
            better = known is None or (order.price > known if order.side is Side.BID else order.price < known)
            if better:
                best[order.side] = order.price
    return best


def _trigger(state: State, settings: Settings) -> tuple[str, tuple[Side, ...]]:
    """Return why the ladder must be rebuilt ('' if it need not be) and which sides."""
    target, both = state.target, (Side.BID, Side.ASK)
    price = _price(state)
    if not target.price_fine:
        return "signal", both
    if abs(price - target.price_fine) * BPS > target.price_fine * int(settings.rebalance_threshold):
        return "threshold", both
    if state.now - target.built_at >= settings.forced_sync:
        return "forced", both
    if state.market.presence.step_due(state.now, settings):
        return "local", both
    for side in both:
        gone = not any(quote.side is side and quote.point == TOUCH for quote in target.quotes)
        rested = state.now - target.topped_up_at.get(side, Millis(0)) >= settings.topup_min_interval
        if gone and rested:
            return "local", (side,)
    return "", ()


def _rebuild(state: State, settings: Settings, trigger: str, sides: tuple[Side, ...]) -> bool:
    """Build the target anew; return False where a forced rebuild changes too little to be worth sending."""
    stepped = state.market.presence.step_due(state.now, settings)
    old = state.target
    levels: list[Level] = []
    for side in Side:
        if side in sides:
            levels += _side_levels(state, settings, side, keep_touch=not stepped)
        else:
            levels += [Level(q.side, q.point, q.price, q.size) for q in old.quotes if q.side is side]
    views = [view for _, view in sorted(state.views.items())]
    quotes, waiting = assign(levels, views, state.spec, settings)
    state.market.presence.quote(state.now, settings)
    topped = {**old.topped_up_at, **dict.fromkeys(sides, state.now)}
    if trigger == "forced" and _too_little(old.quotes, quotes, settings):
        old.built_at, old.topped_up_at = state.now, topped
        return False
    state.target = Target(quotes, _price(state), state.now, len(waiting), topped)
    return True


def _side_levels(state: State, settings: Settings, side: Side, *, keep_touch: bool) -> tuple[Level, ...]:
    built = _ladder(state, settings, side)
    state.market.weights[side] = built.weights
    levels = built.levels
    standing = [q for q in state.target.quotes if q.side is side and q.point == TOUCH]
    if keep_touch and standing and levels and levels[0].point == TOUCH:
        return (_with_touch_at(levels[0], standing[0].price, levels[1:], state), *levels[1:])
    return levels


def _with_touch_at(touch: Level, price: Ticks, others: Sequence[Level], state: State) -> Level:
    """Leave the touch order at its price while that is near enough and still in front of its neighbours."""
    near = int(abs(price - touch.price)) * BPS <= int(touch.price) * TOUCH_KEPT_BPS
    fine = int(price) * FINE
    bid = touch.side is Side.BID
    right_side = fine < _price(state) if bid else fine > _price(state)
    opposite = state.book.best_ask if bid else state.book.best_bid
    right_side = right_side and (opposite is None or (price < opposite if bid else price > opposite))
    in_front = not others or (price > others[0].price if bid else price < others[0].price)
    return Level(touch.side, TOUCH, price, touch.size) if near and right_side and in_front else touch


def _ladder(state: State, settings: Settings, side: Side) -> SideLadder:
    market, bid = state.market, side is Side.BID
    assert market.channel is not None
    levels = grid_levels(state, settings)
    counts = shares(levels, settings.buy_density, settings)
    count = min(counts[side], capacity(side, state, settings))
    width = settings.buy_channel_width if bid else settings.sell_channel_width
    if side not in market.lattices:
        anchor = market.channel.anchor if bid else market.channel.sell_low
        market.lattices[side] = Lattice.anchored(side, anchor, width, levels, settings.anchor_band)
    zone = Zone(
        lattice=market.lattices[side],
        low_fine=market.channel.buy_low if bid else market.channel.sell_low,
        high_fine=market.channel.buy_high if bid else market.channel.sell_high,
        levels=count,
        budget=_budget(state, settings, side),
        price_fine=_price(state),
        opposite=state.book.best_ask if bid else state.book.best_bid,
        spread=market.presence.spread_bps(state.now, settings),
        size_ratio=settings.buy_size_ratio if bid else settings.sell_size_ratio,
        reanchor=settings.reanchor,
        quote_lot_size=state.spec.quote_lot_size,
    )
    return build_side(zone, market.weights.get(side))


def grid_levels(state: State, settings: Settings) -> int:
    """Return how many levels both sides share: as configured, or as many as the wallets may hold."""
    seats = state.wallet_count * settings.orders_per_wallet
    return seats if settings.grid_levels is None else min(settings.grid_levels, seats)


def _budget(state: State, settings: Settings, side: Side) -> int:
    spec, price = state.spec, _price(state)
    sol = sum((view.quote_total for view in state.views.values()), Lamports(0))
    tokens = sum(
        (atoms_to_lots(view.base_total, spec.base_lot_size) for view in state.views.values()), BaseLots(0)
    )
    if side is Side.ASK:
        equity = sol + _value(tokens, price, spec.quote_lot_size)
        return int(sell_budget(tokens, equity, price, spec.quote_lot_size, settings.min_base_share))
    bought = _value(max(BaseLots(0), state.flow.net_base), price, spec.quote_lot_size)
    cap = exposure_cap(bought, sol, Lamports(0), settings.max_base_share)
    return int(buy_budget(sol, Lamports(state.flow.paid(state.now)), cap, settings))


def _value(lots: BaseLots, price_fine: int, quote_lot_size: int) -> Lamports:
    return Lamports(int(lots) * price_fine * quote_lot_size // FINE)


def _too_little(old: Sequence[Quote], new: Sequence[Quote], settings: Settings) -> bool:
    """Say whether a forced rebuild moves neither best price nor enough of the ladder's value."""
    for side in Side:
        before = [quote.price for quote in old if quote.side is side]
        after = [quote.price for quote in new if quote.side is side]
        if bool(before) != bool(after):
            return False
        if before and int(abs(before[0] - after[0])) * BPS > int(before[0]) * FORCED_MOVE_BPS:
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


def _placeable(state: State) -> tuple[Quote, ...]:
    """Return the target without the levels that wait after an eviction."""
    if not state.backoffs:
        return state.target.quotes
    waiting = {key for key, backoff in state.backoffs.items() if backoff.until > state.now}
    return tuple(quote for quote in state.target.quotes if (quote.side, quote.price) not in waiting)


def _changes(state: State, plan: Plan) -> list[AnyAction]:
    return [
        Execute(
            state.take_ticket(),
            change.wallet,
            tuple(change.cancels[:MAX_PLACES_PER_CHANGE]),
            tuple(change.places[:MAX_PLACES_PER_CHANGE]),
        )
        for change in plan.wallets
    ]


def _rebuilt(state: State, plan: Plan, trigger: str) -> Report:
    fields: dict[str, str | int] = {
        "trigger": trigger,
        "price_fine": _price(state),
        "pivot_fine": state.market.capped_pivot.value_fine or 0,
        "levels": len(state.target.quotes),
        "waiting": state.target.waiting,
        "kept": plan.kept,
        "cancelled": sum(len(change.cancels) for change in plan.wallets),
        "placed": sum(len(change.places) for change in plan.wallets),
    }
    return Report("GRID_REBUILD", fields)


def _crank(state: State) -> list[AnyAction]:
    """Crank when events of ours hold up slots or proceeds, or the queue fills."""
    flying = any(isinstance(flight.action, Crank) for flight in state.in_flight.values())
    since = state.now - state.cranked_at
    if flying or since < CRANK_APART_MS or not state.queue_count:
        return []
    short = any(view.order_slots < CRANK_LOW_SLOTS for view in state.views.values())
    crowded = state.queue_count * 2 >= state.spec.event_capacity
    due = state.own_pending >= CRANK_PENDING or (state.own_pending > 0 and (short or since >= CRANK_EVERY_MS))
    return [Crank(state.take_ticket())] if due or crowded else []


def _confirmed(state: State) -> bool:
    return state.market.reading is not None and state.market.reading.confirmed


def _price(state: State) -> int:
    assert state.market.reading is not None
    return state.market.reading.price_fine
