"""Turn an event into belief: what is seen, what filled, what landed, what vanished.

Every order of ours that disappears is accounted for: filled, cancelled by a change of ours, or evicted. Every
placement that landed but never came to stand is accounted for: filled, or dropped by the program. What is
said to have expired stays in flight until a reading shows what became of it: who said so may have followed a
fork that died.
"""

from collections.abc import Sequence
from dataclasses import replace

from bmv.config import Settings
from bmv.core import swarm, transfers
from bmv.core.congestion import tell_gas, tell_queue, tell_slots
from bmv.core.errands import booked, came_to_nothing, carried_out, is_under_way
from bmv.core.eviction import flooded, rest_level, resting, side_is_full
from bmv.core.failures import CRANK, Backoff
from bmv.core.kill import begin_halt, on_request, prove_anew, yield_to_another
from bmv.core.landing import never_lands
from bmv.core.rent import tell_rent
from bmv.core.state import InFlight, Phase, State, Supply
from bmv.core.witness import on_found, on_reading, short_orders
from bmv.events import (
    AnyAction,
    AnyEvent,
    BaselineSet,
    BundleResolved,
    ConfigRefused,
    Converted,
    Crank,
    EventsFound,
    Execute,
    FeedLost,
    HaltRequested,
    LeaseSeen,
    MarketSeen,
    OracleSeen,
    Prepare,
    Report,
    Retire,
    Settle,
    SupplySeen,
    TableAction,
    Tick,
    TreasuryAction,
    TreasurySeen,
    WalletDuty,
)
from bmv.model import Fill, LiveOrder, Outcome, Placement, Quote, WalletView
from bmv.units import BaseLots, Millis, notional

FAILED_REST_MS, LOST_REST_MS = Millis(1_000), Millis(400)
ALONE_EVERY = 3
_ORDERLY = Execute | Crank | Settle | TableAction  # moves tokens and wrapped SOL about, and keeps their sum


def absorb(state: State, event: AnyEvent, settings: Settings) -> list[AnyAction]:
    """Update ``state`` with ``event``; return what people should be told."""
    state.now = max(state.now, event.at)
    if isinstance(event, MarketSeen):
        return _see(state, event, settings)
    if isinstance(event, BundleResolved):
        return _resolve(state, event, settings)
    if isinstance(event, EventsFound):
        return _found(state, event)
    if isinstance(event, HaltRequested):
        return on_request(state, event)
    if isinstance(event, FeedLost):
        was_up, state.feed_up = state.feed_up, False
        return [Report("FEED_LOST", {"reason": event.reason})] if was_up else []
    return _note(state, event)


def _note(state: State, event: AnyEvent) -> list[AnyAction]:
    """Take over a fact as it is told."""
    if isinstance(event, ConfigRefused):
        return [Report("CONFIG_REFUSED", {"keys": event.keys, "reason": event.reason})]
    if isinstance(event, BaselineSet):
        return _begin_count(state, event)
    if isinstance(event, WalletDuty):
        return swarm.told(state, event)
    if isinstance(event, OracleSeen):
        state.oracle.on_price(event.at, event.sol_usd, firm=event.firm)
        state.oracle.eur_usd = event.eur_usd
    elif isinstance(event, SupplySeen):
        state.supply = Supply(event.supply, event.locked)
    elif isinstance(event, TreasurySeen):
        before, state.treasury_seen = state.treasury_seen, event
        state.treasury = replace(state.treasury, sol=event.sol, usdc=event.usdc, acts=event.acts)
        return [*transfers.of_treasury(before, event, state.in_flight.values())]
    elif isinstance(event, LeaseSeen):
        state.lease_until = event.until
    elif isinstance(event, Converted):
        return booked(state, event)
    elif isinstance(event, Tick):
        state.slot = max(state.slot, event.slot)
    return []


def _begin_count(state: State, event: BaselineSet) -> list[AnyAction]:
    """Count bought base from a baseline; the first one told is that of the start."""
    flow = state.flow
    fields: dict[str, str | int] = {"number": event.number, "net_base_before": int(flow.net_base)}
    is_first = flow.baseline == 0
    flow.net_base, flow.baseline = event.net_base, event.number
    if is_first:
        return []
    state.signal = state.signal or "a baseline was set"
    return [Report("BASELINE_SET", fields)]


def _see(state: State, event: MarketSeen, settings: Settings) -> list[AnyAction]:
    if event.slot < state.seen:
        # A node that lags: all it shows was in the newer reading, and going back would place orders twice.
        return []
    reports: list[AnyAction] = []
    if not state.feed_up:
        reports.append(Report("FEED_UP", {"slot": int(event.slot)}))
    if event.events_missed:
        reports.append(Report("EVENTS_MISSED", {"events": event.events_missed}))
        state.signal = state.signal or "events were missed"
    reports += _of_market(state, event)
    flying = len(state.in_flight)
    state.stirred = state.stirred or _says_something(state, event)
    state.feed_up = True
    if event.slot > state.seen:
        # A node that stands still answers as well as any other.
        state.seen, state.seen_at = event.slot, event.at
        state.chain_clock = event.clock
    state.slot = max(state.slot, event.slot)
    state.mark = event.mark or state.mark
    state.book = event.book
    state.queue_count, state.own_pending = event.queue_count, event.own_pending
    if event.tables is not None:
        state.tables = event.tables
    state.market.tracker.on_trades(event.trades)
    for trade in event.trades:
        state.market.pivot.add(trade)
    if event.trades:
        state.market.presence.on_trade(event.at)
    for fill in event.fills:
        reports += _fill(state, fill)
        _arrived(state, fill.wallet, [fill])
    waiting = resting(state)
    for view in event.wallets:
        reports += _vanished(state, view, event, settings)
        reports += _strange(state, view)
        reports += tell_slots(state.views.get(view.wallet), view)
        if not state.leaves(view.wallet):
            reports += tell_gas(state.views.get(view.wallet), view, settings)
        state.views[view.wallet] = view
        _arrived(state, view.wallet, view.orders)
    reports += _landed(state, settings)
    state.stirred = state.stirred or len(state.in_flight) != flying
    return reports + flooded(state, waiting)


def _of_market(state: State, event: MarketSeen) -> list[AnyAction]:
    """Tell what a reading says beyond orders and fills: the market, its queue, balances, short orders."""
    reports = [*tell_queue(state, event), *tell_rent(state, event)]
    moving = any(not isinstance(flight.action, _ORDERLY) for flight in state.in_flight.values())
    outside = transfers.of_wallets(state, event)
    reports += outside.values()
    reports += on_reading(state.witness, event, state.views, state.spec, moving=moving, outside=outside)
    for place, stands in short_orders(state.in_flight.values(), event):
        state.target.quotes = tuple(_shrunk(quote, place, stands) for quote in state.target.quotes)
        reports.append(Report("ORDER_SHORT", {**_order_fields(place), "stands": int(stands)}))
    if event.closed:
        reports += begin_halt(state, event.closed)
    return reports


def _shrunk(quote: Quote, place: Placement, stands: BaseLots) -> Quote:
    """Want what came to stand instead of what was asked for: what the wallet lacks would fail again."""
    if (quote.wallet, quote.side, quote.price) != (place.wallet, place.side, place.price):
        return quote
    return Quote(quote.wallet, quote.side, quote.point, quote.price, stands, quote.why)


def _found(state: State, event: EventsFound) -> list[AnyAction]:
    """Book what a gap in the market's events held; P has moved on since, so only the Pivot counts it."""
    for trade in event.trades:
        state.market.pivot.add(trade)
    fields: dict[str, str | int] = {"missed": event.missed, "fills": len(event.fills)}
    name = "EVENTS_FOUND" if event.complete else "EVENTS_LOST"
    reports: list[AnyAction] = [Report(name, fields | ({"reason": event.reason} if event.reason else {}))]
    for fill in event.fills:
        reports += _fill(state, fill)
    state.stirred = True
    return reports + on_found(state.witness, event, state.spec)


def _says_something(state: State, event: MarketSeen) -> bool:
    """Say whether a reading shows anything that the one before it did not."""
    queue = (event.queue_count, event.own_pending) != (state.queue_count, state.own_pending)
    news = event.wallets or event.trades or event.fills or event.events_missed or event.leftovers
    return bool(news) or queue or not state.feed_up or event.book != state.book


def _fill(state: State, fill: Fill) -> list[AnyAction]:
    """Book a fill and lower the target by what was filled."""
    paid = notional(fill.price, fill.size, state.spec.quote_lot_size)
    state.flow.record(fill.side, fill.size, paid, state.now)
    state.guards.drawdown.on_fill(fill, state.spec.quote_lot_size)
    state.target.quotes = tuple(
        lowered for quote in state.target.quotes if (lowered := _lowered(quote, fill)) is not None
    )
    fields = _order_fields(fill)
    reports: list[AnyAction] = [Report("ORDER_FILL", fields)]
    if fill.self_trade or not fill.maker:
        reports.append(Report("INTEGRITY_OWN_TRADE", fields))
        reports += begin_halt(state, "an order of ours took instead of making, or met another of ours")
    return reports


def _lowered(quote: Quote, fill: Fill) -> Quote | None:
    if quote.price != fill.price or quote.side is not fill.side or quote.wallet != fill.wallet:
        return quote
    left = quote.size - fill.size
    if left <= BaseLots(0):
        return None
    return Quote(quote.wallet, quote.side, quote.point, quote.price, left, quote.why)


def _arrived(state: State, wallet: int, seen: Sequence[LiveOrder | Fill]) -> None:
    """Note which placements in flight have shown up; what the same change cancels is not one of them."""
    for flight in state.in_flight.values():
        if flight.wallet == wallet and isinstance(flight.action, Execute):
            leaving = {cancel.order_id for cancel in flight.action.cancels}
            found = {(o.client_id, o.side, o.price) for o in seen if o.order_id not in leaving}
            flight.arrived |= {
                place.client_id
                for place in flight.action.places
                if (place.client_id, place.side, place.price) in found
            }


def _vanished(state: State, view: WalletView, event: MarketSeen, settings: Settings) -> list[AnyAction]:
    """Tell about orders that left the book without being filled or cancelled by us: evicted.

    Where market events were missed they may have been filled: they rest all the same until that is known.
    """
    before = state.views.get(view.wallet)
    if before is None:
        return []
    explained = {order.order_id for order in view.orders}
    explained |= {
        cancel.order_id
        for flight in state.in_flight.values()
        if isinstance(flight.action, Execute)
        for cancel in flight.action.cancels
    }
    gone = [order for order in before.orders if order.order_id not in explained]
    reports: list[AnyAction] = []
    for order in gone:
        filled = sum((fill.size for fill in event.fills if fill.order_id == order.order_id), BaseLots(0))
        if filled >= order.size:
            continue
        rest_level(state, order.side, order.price, settings)
        if not event.events_missed:
            reports.append(Report("WALLET_ORDER_EVICTED", _order_fields(order)))
            state.signal = state.signal or "an order was evicted"
    return reports


def _strange(state: State, view: WalletView) -> list[AnyAction]:
    """Tell about orders that stand though no change of ours under way placed them."""
    before = state.views.get(view.wallet)
    if before is None or state.phase is not Phase.QUOTING:
        return []
    known = {order.order_id for order in before.orders}
    new = [order for order in view.orders if order.order_id not in known]
    sent = {(p.wallet, p.client_id, p.side, p.price) for p in state.flying_places()} if new else set()
    found = [order for order in new if (order.wallet, order.client_id, order.side, order.price) not in sent]
    if not found:
        return []
    state.signal = state.signal or "an order nobody asked for stands"
    told = [Report("WALLET_ORDER_UNKNOWN", _order_fields(order)) for order in found]
    return [*told, *yield_to_another(state)]


def _landed(state: State, settings: Settings) -> list[AnyAction]:
    """Take out of flight what landed at or before the reading; tell about placements that never stood."""
    reports: list[AnyAction] = []
    for ticket, flight in list(state.in_flight.items()):
        if flight.dead is not None and flight.dead <= state.seen:
            # What stands of it is seen; what does not never will.
            del state.in_flight[ticket]
            continue
        if flight.landed is None or flight.landed > state.seen or is_under_way(flight):
            continue
        del state.in_flight[ticket]
        carried_out(state, flight.action)
        if isinstance(flight.action, Prepare) and state.phase is Phase.QUOTING:
            state.signal = state.signal or "a wallet was opened or funded"
        places = flight.action.places if isinstance(flight.action, Execute) else ()
        for place in places:
            if place.client_id not in flight.arrived:
                # On a full side the program drops what is worst at once; else the market moved through it.
                if side_is_full(state, place.side, settings):
                    rest_level(state, place.side, place.price, settings)
                reports.append(Report("ORDER_DROPPED", _order_fields(place)))
    return reports


def _resolve(state: State, event: BundleResolved, settings: Settings) -> list[AnyAction]:
    prove_anew(state)
    flights: list[InFlight] = [state.in_flight[t] for t in event.tickets if t in state.in_flight]
    if event.outcome is not Outcome.LANDED:
        return _not_landed(state, event, flights, settings)
    state.never_landed = 0
    reports = _spend(state, event, settings)
    if state.guards.failures.pause is not None:
        reports.append(Report("CYCLES_LAND_AGAIN", {"after": state.guards.failures.cycles}))
    state.guards.failures.landed(state.now)
    for flight in flights:
        flight.landed = event.slot
        if flight.wallet is not None:
            state.failed.pop(flight.wallet, None)
            if isinstance(flight.action, Prepare) or (
                isinstance(flight.action, Execute) and flight.action.places
            ):
                state.guards.failures.wallet_landed(flight.wallet)
    # Where a reading has already shown that slot, no later one needs to come before the wallet is free again.
    return reports + _landed(state, settings)


def _not_landed(
    state: State, event: BundleResolved, flights: Sequence[InFlight], settings: Settings
) -> list[AnyAction]:
    """Let the wallets of a bundle that came to nothing rest, one longer than the other."""
    failures, others = state.guards.failures, len(state.views) - len(state.guards.aside) - 1
    paused = False
    fields: dict[str, str | int] = {"bundle": event.bundle_id, "reason": event.reason}
    reports: list[AnyAction] = [Report(f"BUNDLE_{event.outcome.name}", fields), *never_lands(state, event)]
    for number, flight in enumerate(flights):
        flight.dead = event.slot
        if isinstance(flight.action, TreasuryAction):
            # Nobody's orders wait for it, and what fails may be a swap service's.
            came_to_nothing(state)
            continue
        if isinstance(flight.action, Retire):
            # Nor for a wallet that leaves; what was in its way a moment ago may be gone now.
            state.failed[flight.action.wallet] = Backoff.after(
                state.failed.get(flight.action.wallet), state.now, FAILED_REST_MS
            )
            continue
        if event.outcome is Outcome.UNSENT:
            failures.not_sent(flight.sent_at, state.now)
            if flight.wallet is not None:
                state.failed[flight.wallet] = _lost_rest(state)
            continue
        owner = CRANK if flight.wallet is None else flight.wallet
        paused |= failures.cycle_failed(owner, flight.sent_at, state.now, settings, others=others)
        if flight.wallet is not None:
            lost = event.outcome is Outcome.EXPIRED
            known = state.failed.get(flight.wallet)
            rest = _lost_rest(state) if lost else Backoff.after(known, state.now, FAILED_REST_MS)
            # A bundle fails as a whole. Tried one after the other, whoever is at fault fails alone; what
            # was only lost goes together again, two times of three: each bundle takes its time to send.
            together = lost and (failures.in_a_row(flight.wallet) + 1) % ALONE_EVERY
            apart = (LOST_REST_MS if lost else FAILED_REST_MS) * (0 if together else number)
            state.failed[flight.wallet] = Backoff(rest.until + apart, rest.wait)
            ready = any(view.ready for view in state.views.values())
            working = state.phase is Phase.STARTING and ready
            failures.wallet_failed(flight.wallet, state.now, settings, others=others, working=working)
    if paused and failures.pause is not None:
        cycles: dict[str, str | int] = {"cycles": failures.cycles, "pause_ms": int(failures.pause.wait)}
        reports.append(Report("CYCLES_FAILED", cycles))
    return reports + _landed(state, settings)


def _lost_rest(state: State) -> Backoff:
    """Return a rest that never becomes longer: what was lost has waited already, and is nobody's fault."""
    return Backoff(state.now + LOST_REST_MS, LOST_REST_MS)


def _spend(state: State, event: BundleResolved, settings: Settings) -> list[AnyAction]:
    """Count what a bundle cost; say so when that used up a budget, the day's or the hour's."""
    state.last_tip = event.cost.tip
    before = state.budget_spent(settings, state.now)
    state.spend(event.cost.fees + event.cost.tip, state.now)
    state.guards.drawdown.on_cost(event.cost.fees + event.cost.tip)
    spent = state.budget_spent(settings, state.now)
    if spent in ("", before):
        return []
    lamports = state.cost_spent if spent == "day" else state.cost_in_hour
    return [Report("COST_BUDGET_SPENT", {"budget": spent, "lamports": int(lamports)})]


def _order_fields(order: LiveOrder | Placement | Fill) -> dict[str, str | int]:
    return {
        "price": int(order.price),
        "size": int(order.size),
        "side": order.side.name,
        "wallet": order.wallet,
    }
