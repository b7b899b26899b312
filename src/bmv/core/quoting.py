"""Quote: follow the price, rebuild the ladder when a trigger says so, repair it on every event.

Every event diffs the target with what stands and what flies; whatever was lost, dropped or evicted is put
back by that same path. While nothing may be placed, what stands on the wrong side of P, on a stopped side or
with a wallet set aside is withdrawn. While the chain cannot be seen, nothing is changed; after
STALE_WITHDRAW_AFTER all that is known to stand is withdrawn.
"""

from collections.abc import Callable

from bmv.config import Settings
from bmv.core.absorb import begin_halt
from bmv.core.channel import channel, following
from bmv.core.cost import estimate
from bmv.core.decay import BPS, FINE
from bmv.core.financing import watch_treasury
from bmv.core.guarding import guarding
from bmv.core.limits import standstill
from bmv.core.opening import opening
from bmv.core.pivot import SolFade
from bmv.core.plan import MAX_CHANGE, Plan, cancel_of, diff, own_range
from bmv.core.prior import prior
from bmv.core.rebuilding import price_fine, rebuild_if_due
from bmv.core.state import Phase, State
from bmv.core.triggers import Trigger
from bmv.events import (
    AnyAction,
    AnyEvent,
    Crank,
    Execute,
    MarketSeen,
    OracleSeen,
    Report,
    SupplySeen,
    Tick,
    TreasurySeen,
)
from bmv.model import LiveOrder, Quote, Side
from bmv.units import Lamports, Millis

_QUIET = (Tick, MarketSeen, OracleSeen, SupplySeen, TreasurySeen)
"""What concerns the ladder only at its next pricing, unless it stirred something."""
PRICE_EVERY_MS = Millis(5_000)
CRANK_PENDING = 24
CRANK_LOW_SLOTS = 40
CRANK_EVERY_MS = Millis(60_000)
CRANK_APART_MS = Millis(3_000)
NO_PRICE = "no price to start from: no trade, no foreign orders on both sides, and no SEED_PRICE"
NO_PIVOT = "CHANNEL_MODE=pivot has no Pivot to stand around: no trade is recorded, and no SEED_PRICE set"
NO_SOL_USD = "PIVOT_MODE=sol_fade_in has no Pivot to start from: the oracle has not said what a SOL costs"
ORACLE_PATIENCE_MS = Millis(60_000)
"""So long a start waits for the oracle's first word."""


def quoting(state: State, event: AnyEvent, settings: Settings) -> list[AnyAction]:
    """Return what to change now; most events change nothing."""
    if state.now - state.seen_at > settings.stale_withdraw_after:
        return _blind(state)
    state.guards.blind = False
    if not state.feed_up or not _worth_a_look(state, event):
        return []
    state.stirred = False
    if reason := reprice(state, settings):
        waits = reason == NO_SOL_USD and state.now - Millis(state.market.pivot.started) < ORACLE_PATIENCE_MS
        return [] if waits else begin_halt(state, reason)
    told = [*guarding(state, settings), *_out_of_channel(state)]
    if state.phase is not Phase.QUOTING:
        return told
    _drop_under_the_floor(state)
    told += watch_treasury(state, settings)
    if standstill(state, settings):
        return [*told, *_exposed(state), *_crank(state)]
    told += opening(state, settings)
    # An unconfirmed jump: the old price and the target stand; limits see to it that repairs raise nothing.
    trigger = rebuild_if_due(state, settings) if _confirmed(state) else None
    views = [view for _, view in sorted(state.views.items())]
    plan = diff(_placeable(state), views, state.busy(), settings)
    reports = [_rebuilt(state, plan, trigger, settings), *_proposed(state)] if trigger else []
    return [*told, *reports, *_changes(state, plan), *_crank(state)]


def _worth_a_look(state: State, event: AnyEvent) -> bool:
    """Say whether something happened, a failed wallet has rested, or it is time to price anew."""
    since = state.market.priced_at
    if state.now - since >= PRICE_EVERY_MS or state.stirred or not isinstance(event, _QUIET):
        return True
    return any(since < rest.until <= state.now for rest in state.failed.values())


def _exposed(state: State) -> list[AnyAction]:
    """Withdraw what stands on the wrong side of P: it is not replaced now, but nobody shall pick it off.

    With it goes what the guards hold back.
    """
    highest_bid, guards = price_fine(state), state.guards
    lowest_ask = max(highest_bid, _ask_floor(state))
    return _withdrawals(
        state,
        lambda order: (
            ((fine := int(order.price) * FINE) > highest_bid and order.side is Side.BID)
            or (fine < lowest_ask and order.side is Side.ASK)
            or order.side in guards.stopped
            or order.wallet in guards.aside
        ),
    )


def _blind(state: State) -> list[AnyAction]:
    """Withdraw all that is known to stand: nobody knows what it is worth any more, or whether it is there."""
    guards, silent = state.guards, state.now - state.seen_at
    told: list[AnyAction] = [] if guards.blind else [Report("STALE_WITHDRAWAL", {"silent_ms": int(silent)})]
    guards.blind = True
    return [*told, *_withdrawals(state, lambda _: True)]


def _withdrawals(state: State, leaves: Callable[[LiveOrder], bool]) -> list[AnyAction]:
    """Return the cancels of all orders that are to leave, of wallets that nothing is under way for."""
    busy = state.busy()
    actions: list[AnyAction] = []
    for wallet, view in sorted(state.views.items()):
        leaving = [order for order in view.orders if leaves(order)]
        if leaving and wallet not in busy:
            cancels = tuple(cancel_of(order) for order in leaving[:MAX_CHANGE])
            actions.append(Execute(state.take_ticket(), wallet, cancels, ()))
    return actions


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
    market, window, beside = state.market, settings.history_window, prior(state.spec, settings)
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
    own = own_range(order for view in state.views.values() for order in view.orders)
    if (own.highest_bid is None) == (own.lowest_ask is None):
        return 0
    empty, away = (Side.BID, -1) if own.highest_bid is None else (Side.ASK, 1)
    return -away if empty in state.market.closed else away


def _out_of_channel(state: State) -> list[AnyAction]:
    """Remember which sides find no price in their zone; tell when that changes."""
    market, before = state.market, state.market.closed
    assert market.channel is not None
    market.closed = market.channel.closed_sides(price_fine(state), state.book)
    if market.closed == before:
        return []
    sides = " ".join(side.name for side in market.closed) or "none"
    pivot = market.capped_pivot.value_fine or 0
    return [Report("OUT_OF_CHANNEL", {"side": sides, "price_fine": price_fine(state), "pivot_fine": pivot})]


def _drop_under_the_floor(state: State) -> None:
    """Take out of the target the asks that a risen Pivot has passed (pivot mode)."""
    floor, quotes = _ask_floor(state), state.target.quotes
    if any(quote.side is Side.ASK and int(quote.price) * FINE < floor for quote in quotes):
        state.target.quotes = tuple(
            quote for quote in quotes if quote.side is Side.BID or int(quote.price) * FINE >= floor
        )


def _ask_floor(state: State) -> int:
    assert state.market.channel is not None
    return state.market.channel.ask_floor


def _placeable(state: State) -> tuple[Quote, ...]:
    """Return the target without the levels that wait after an eviction, and what the guards hold back."""
    resting = {key for key, rest in state.evicted.items() if rest.until > state.now}
    stopped, aside = state.guards.stopped, state.guards.aside
    if not resting and not stopped and not aside:
        return state.target.quotes
    return tuple(
        quote
        for quote in state.target.quotes
        if (quote.side, quote.price) not in resting
        and quote.side not in stopped
        and quote.wallet not in aside
    )


def _changes(state: State, plan: Plan) -> list[AnyAction]:
    return [
        Execute(state.take_ticket(), change.wallet, tuple(change.cancels), tuple(change.places))
        for change in plan.wallets
    ]


def _rebuilt(state: State, plan: Plan, trigger: Trigger, settings: Settings) -> Report:
    """Tell what the new target is, and what sending the plan for it will change and cost."""
    costs = estimate(plan, _expected_tip(state, settings))
    waiting = state.target.waiting
    pivot, (own, traded) = state.market.capped_pivot, state.market.pivot.own_share
    fields: dict[str, str | int] = {
        "trigger": trigger.name,
        "cause": trigger.cause,
        "price_fine": price_fine(state),
        "pivot_fine": pivot.value_fine or 0,
        "pivot_raw_fine": pivot.raw_fine or 0,
        "own_share_bps": own * BPS // traded if traded else 0,
        "levels": len(state.target.quotes),
        "waiting": sum(each.levels for each in waiting),
        "kept": costs.kept,
        "cancelled": costs.cancels,
        "placed": costs.places,
        "wallets": len(plan.wallets),
        "transactions": costs.transactions,
        "bundles": costs.bundles,
        "cost": int(costs.cost),
    }
    if waiting:
        fields["waiting_for"] = ", ".join(f"{each.side.name} {each.clip}" for each in waiting)
    return Report("GRID_REBUILD", fields)


def _expected_tip(state: State, settings: Settings) -> Lamports:
    """Return what the next bundle will tip: what the last one did, at most what any may."""
    if settings.jito_tip_mode == "fixed" or state.last_tip is None:
        return settings.jito_tip
    return min(state.last_tip, settings.jito_tip)


def _proposed(state: State) -> list[Report]:
    return [
        Report(
            "FUNDING_PROPOSED",
            {
                "from": transfer.source,
                "to": transfer.target,
                "asset": transfer.asset,
                "amount": transfer.amount,
                "reason": transfer.reason,
            },
        )
        for transfer in state.target.transfers
    ]


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
