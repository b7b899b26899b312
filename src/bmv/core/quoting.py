"""Quote: follow the price, rebuild the ladder when a trigger says so, repair it on every event.

Every event diffs the target with what stands and what flies; whatever was lost, dropped or evicted is put
back by that same path. While nothing may be placed, what stands on the wrong side of P, on a stopped side or
with a wallet set aside is withdrawn. While the chain cannot be seen, nothing is changed; after
STALE_WITHDRAW_AFTER, or LEASE_GRACE without the lease, all that is known to stand is withdrawn.
"""

from collections.abc import Callable

from bmv.config import Settings
from bmv.core.congestion import LOW_SLOTS, fitting, is_crowded
from bmv.core.cost import estimate
from bmv.core.decay import BPS, FINE
from bmv.core.eviction import Resting
from bmv.core.financing import watch_treasury
from bmv.core.guarding import guarding
from bmv.core.kill import begin_halt
from bmv.core.limits import standstill
from bmv.core.opening import opening
from bmv.core.plan import MAX_CHANGE, Plan, cancel_of, diff
from bmv.core.pricing import NO_PRICE, NO_SOL_USD, out_of_channel, reprice
from bmv.core.rebuilding import price_fine, rebuild_if_due
from bmv.core.rent import rent_step
from bmv.core.replacing import numbered
from bmv.core.state import Phase, State
from bmv.core.swarm import leaving
from bmv.core.tables import served, table_step
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
from bmv.units import Bps, Lamports, Millis

_QUIET = (Tick, MarketSeen, OracleSeen, SupplySeen, TreasurySeen)
"""What concerns the ladder only at its next pricing, unless it stirred something."""
PRICE_EVERY_MS = Millis(5_000)
CRANK_PENDING = 24
CRANK_EVERY_MS = Millis(60_000)
CRANK_APART_MS = Millis(3_000)
START_PATIENCE_MS = Millis(60_000)
"""So long a start waits for the oracle's first word, or for a first trade or two-sided book."""


def quoting(state: State, event: AnyEvent, settings: Settings) -> list[AnyAction]:
    """Return what to change now; most events change nothing."""
    if blind := _blind(state, settings):
        return _withdrawal(state, *blind)
    state.guards.blind = False
    if not state.feed_up or not _worth_a_look(state, event):
        return []
    state.stirred = False
    if reason := reprice(state, settings):
        waits = reason in (NO_SOL_USD, NO_PRICE) and state.now - state.started < START_PATIENCE_MS
        return [] if waits else begin_halt(state, reason)
    told = [*guarding(state, settings), *out_of_channel(state)]
    if state.phase is not Phase.QUOTING:
        return told
    _drop_passed(state)
    stands = bool(standstill(state, settings))
    told += watch_treasury(state, settings, may_act=not stands)
    if stands:
        return [*told, *_exposed(state), *rent_step(state, settings, closes=False), *_crank(state)]
    told += [*opening(state, settings), *leaving(state)]
    told += [*table_step(state, settings), *rent_step(state, settings)]
    # An unconfirmed jump: the old price and the target stand; limits see to it that repairs raise nothing.
    spread = state.market.presence.quoted
    trigger = rebuild_if_due(state, settings) if _confirmed(state) else None
    told += _tightened(state, spread, settings)
    views = [view for _, view in sorted(state.views.items())]
    plan = diff(placeable(state), views, state.busy(), settings, state.left_over_orders())
    for change in plan.wallets:
        change.places[:] = numbered(change, state.views[change.wallet], state.spec)
    reports = [_rebuilt(state, plan, trigger, settings), *_proposed(state)] if trigger else []
    # The crank goes first: each change cranks its own events, once nothing waits before them.
    return [*told, *reports, *_crank(state), *_changes(state, plan)]


def _worth_a_look(state: State, event: AnyEvent) -> bool:
    """Say whether something happened, a failed wallet has rested, or it is time to price or try anew."""
    since = state.market.priced_at
    if state.now - since >= PRICE_EVERY_MS or state.stirred or not isinstance(event, _QUIET):
        return True
    failures = state.guards.failures
    if failures.pausing(state.now) and not failures.paused(state.now):
        return True
    return any(since < rest.until <= state.now for rest in state.failed.values())


def _exposed(state: State) -> list[AnyAction]:
    """Withdraw what stands on the wrong side of P: it is not replaced now, but nobody shall pick it off.

    With it goes what the guards hold back.
    """
    price, zones, guards = price_fine(state), state.market.channel, state.guards
    return _withdrawals(
        state,
        lambda order: (
            ((fine := int(order.price) * FINE) > price and order.side is Side.BID)
            or (fine < price and order.side is Side.ASK)
            or (zones is not None and zones.passed(order.side, order.price))
            or order.side in guards.stopped
            or order.wallet in guards.aside
        ),
    )


def _blind(state: State, settings: Settings) -> tuple[str, Millis] | None:
    """Return what to report, and for how long it has been so, where nothing may be left standing."""
    if state.now - state.seen_at > settings.stale_withdraw_after:
        return "STALE_WITHDRAWAL", state.now - state.seen_at
    if state.lease_until is not None and state.now > state.lease_until + settings.lease_grace:
        return "LEASE_WITHDRAWAL", state.now - state.lease_until
    return None


def _withdrawal(state: State, why: str, silent: Millis) -> list[AnyAction]:
    """Withdraw all that is known to stand: nobody knows what it is worth any more, or whether it is ours."""
    guards = state.guards
    told: list[AnyAction] = [] if guards.blind else [Report(why, {"silent_ms": int(silent)})]
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


def _drop_passed(state: State) -> None:
    """Take out of the target what the Pivot has passed (pivot mode)."""
    zones, quotes = state.market.channel, state.target.quotes
    if zones is not None and zones.binding and any(zones.passed(quote.side, quote.price) for quote in quotes):
        state.target.quotes = tuple(q for q in quotes if not zones.passed(q.side, q.price))


def placeable(state: State) -> tuple[Quote, ...]:
    """Return the target without the levels that wait after an eviction, and what the guards hold back."""
    stopped, aside = state.guards.stopped, state.guards.aside
    if not state.evicted and not stopped and not aside:
        return state.target.quotes
    resting = Resting(state)
    return tuple(
        quote
        for quote in state.target.quotes
        if not resting.holds(quote.side, quote.price)
        and quote.side not in stopped
        and quote.wallet not in aside
    )


def _changes(state: State, plan: Plan) -> list[AnyAction]:
    return [
        Execute(state.take_ticket(), change.wallet, tuple(change.cancels), tuple(change.places))
        for change in fitting(plan.wallets, state)
    ]


def _rebuilt(state: State, plan: Plan, trigger: Trigger, settings: Settings) -> Report:
    """Tell what the new target is, and what sending the plan for it will change and cost."""
    costs = estimate(plan, expected_tip(state, settings), served(state))
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


def _tightened(state: State, before: Bps | None, settings: Settings) -> list[AnyAction]:
    """Tell that the inside spread took a step towards MIN_SPREAD because nobody traded."""
    now = state.market.presence.quoted
    if now is None or before is None or now >= min(before, settings.inside_spread):
        return []
    return [Report("IDLE_TIGHTEN", {"spread_bps": int(now), "before_bps": int(before)})]


def expected_tip(state: State, settings: Settings) -> Lamports:
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
    short = any(view.order_slots < LOW_SLOTS for view in state.views.values())
    due = state.own_pending >= CRANK_PENDING or (state.own_pending > 0 and (short or since >= CRANK_EVERY_MS))
    return [Crank(state.take_ticket())] if due or is_crowded(state) else []


def _confirmed(state: State) -> bool:
    return state.market.reading is not None and state.market.reading.confirmed
