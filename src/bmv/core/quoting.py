"""Quote: follow the price, rebuild the ladder when a trigger says so, repair it on every event.

Every event diffs the target with what stands and what flies; whatever was lost, dropped or evicted is put
back by that same path. While nothing may be placed, only what stands on the wrong side of P is withdrawn.
"""

from bmv.config import Settings
from bmv.core.absorb import begin_halt
from bmv.core.channel import channel
from bmv.core.decay import FINE
from bmv.core.limits import standstill
from bmv.core.plan import MAX_CHANGE, Plan, cancel_of, diff, own_range
from bmv.core.rebuilding import price_fine, rebuild_if_due
from bmv.core.state import State
from bmv.events import (
    AnyAction,
    AnyEvent,
    Crank,
    Execute,
    OracleSeen,
    Report,
    SupplySeen,
    Tick,
    TreasurySeen,
)
from bmv.model import Quote, Side
from bmv.units import Millis

_QUIET = (Tick, OracleSeen, SupplySeen, TreasurySeen)
"""What concerns the ladder only at its next pricing."""
PRICE_EVERY_MS = Millis(5_000)
CRANK_PENDING = 24
CRANK_LOW_SLOTS = 40
CRANK_EVERY_MS = Millis(60_000)
CRANK_APART_MS = Millis(3_000)
NO_PRICE = "no price to start from: no trade, no foreign orders on both sides, and no SEED_PRICE"


def quoting(state: State, event: AnyEvent, settings: Settings) -> list[AnyAction]:
    """Return what to change now; most events change nothing."""
    if not state.feed_up:
        return []
    if isinstance(event, _QUIET) and state.now - state.market.priced_at < PRICE_EVERY_MS:
        return []
    if not reprice(state, settings):
        return begin_halt(state, NO_PRICE)
    if standstill(state, settings):
        return [*_exposed(state), *_crank(state)]
    # An unconfirmed jump: the old price and the target stand; limits see to it that repairs raise nothing.
    trigger = rebuild_if_due(state, settings) if _confirmed(state) else ""
    views = [view for _, view in sorted(state.views.items())]
    plan = diff(_placeable(state), views, state.busy(), settings)
    reports = [_rebuilt(state, plan, trigger)] if trigger else []
    return [*reports, *_changes(state, plan), *_crank(state)]


def _exposed(state: State) -> list[AnyAction]:
    """Withdraw what stands on the wrong side of P: it is not replaced now, but nobody shall pick it off."""
    price, busy = price_fine(state), state.busy()
    actions: list[AnyAction] = []
    for wallet, view in sorted(state.views.items()):
        wrong = [
            order
            for order in view.orders
            if (
                int(order.price) * FINE > price if order.side is Side.BID else int(order.price) * FINE < price
            )
        ]
        if wrong and wallet not in busy:
            cancels = tuple(cancel_of(order) for order in wrong[:MAX_CHANGE])
            actions.append(Execute(state.take_ticket(), wallet, cancels, ()))
    return actions


def reprice(state: State, settings: Settings) -> bool:
    """Bring P, pivot and channel up to date; return False while there is no price at all."""
    market = state.market
    market.priced_at = state.now
    own = own_range(order for view in state.views.values() for order in view.orders)
    pivot = market.capped_pivot.step(
        market.pivot.value_fine(state.now), state.now, settings.pivot_max_daily_move
    )
    market.reading = market.tracker.reading(
        state.now,
        state.book,
        settings,
        own_best_bid=own.highest_bid,
        own_best_ask=own.lowest_ask,
        pivot_fine=pivot,
    )
    if market.reading is None:
        return False
    price = market.reading.price_fine
    average = market.inertia.step(price, state.now, settings.channel_inertia)
    market.channel = channel(price, average, pivot, settings)
    return True


def _placeable(state: State) -> tuple[Quote, ...]:
    """Return the target without the levels that wait after an eviction."""
    resting = {key for key, rest in state.evicted.items() if rest.until > state.now}
    if not resting:
        return state.target.quotes
    return tuple(quote for quote in state.target.quotes if (quote.side, quote.price) not in resting)


def _changes(state: State, plan: Plan) -> list[AnyAction]:
    return [
        Execute(state.take_ticket(), change.wallet, tuple(change.cancels), tuple(change.places))
        for change in plan.wallets
    ]


def _rebuilt(state: State, plan: Plan, trigger: str) -> Report:
    fields: dict[str, str | int] = {
        "trigger": trigger,
        "price_fine": price_fine(state),
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
