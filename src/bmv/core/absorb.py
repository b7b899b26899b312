"""Turn an event into belief: what is seen, what filled, what landed, what vanished.

Every order of ours that disappears is accounted for: filled, cancelled by a change of ours, or evicted. Every
placement that landed but does not stand is accounted for: filled, or dropped by the program.
"""

from bmv.config import Settings
from bmv.core.limits import capacity
from bmv.core.state import Backoff, InFlight, Phase, State
from bmv.events import (
    AnyAction,
    AnyEvent,
    BundleResolved,
    Execute,
    FeedLost,
    HaltRequested,
    MarketSeen,
    Report,
)
from bmv.model import Fill, LiveOrder, Outcome, Placement, Quote, Side, WalletView
from bmv.units import BaseLots, notional


def absorb(state: State, event: AnyEvent, settings: Settings) -> list[AnyAction]:
    """Update ``state`` with ``event``; return what people should be told."""
    state.now = max(state.now, event.at)
    reports: list[AnyAction] = []
    if isinstance(event, MarketSeen):
        reports += _see(state, event, settings)
    elif isinstance(event, BundleResolved):
        reports += _resolve(state, event, settings)
    elif isinstance(event, FeedLost):
        if state.feed_up:
            reports.append(Report("FEED_LOST", {"reason": event.reason}))
        state.feed_up = False
    elif isinstance(event, HaltRequested):
        reports += _begin_halt(state, event.reason)
    else:
        state.slot = max(state.slot, event.slot)
    return reports


def _begin_halt(state: State, reason: str) -> list[AnyAction]:
    if state.phase in {Phase.HALTING, Phase.DONE}:
        return []
    state.phase = Phase.HALTING
    state.halt_reason = reason
    return [Report("KILL_SWITCH", {"reason": reason})]


def _see(state: State, event: MarketSeen, settings: Settings) -> list[AnyAction]:
    reports: list[AnyAction] = []
    if not state.feed_up:
        reports.append(Report("FEED_UP", {"slot": int(event.slot)}))
    state.feed_up = True
    state.seen, state.seen_at = event.slot, event.at
    state.slot = max(state.slot, event.slot)
    state.book = event.book
    state.queue_count, state.own_pending = event.queue_count, event.own_pending
    state.market.tracker.on_trades(event.trades)
    for trade in event.trades:
        state.market.pivot.add(trade)
    if event.trades:
        state.market.presence.on_trade(event.at)
    for fill in event.fills:
        reports += _fill(state, fill)
    for view in event.wallets:
        reports += _vanished(state, view, event.fills, settings)
        state.views[view.wallet] = view
    reports += _landed(state, event.fills, settings)
    return reports


def _fill(state: State, fill: Fill) -> list[AnyAction]:
    """Book a fill and lower the target by what was filled."""
    state.flow.record(
        fill.side, fill.size, notional(fill.price, fill.size, state.spec.quote_lot_size), fill.at
    )
    state.target.quotes = tuple(
        lowered for quote in state.target.quotes if (lowered := _lowered(quote, fill)) is not None
    )
    fields: dict[str, str | int] = {
        "price": int(fill.price),
        "size": int(fill.size),
        "side": fill.side.name,
        "wallet": fill.wallet,
    }
    reports: list[AnyAction] = [Report("ORDER_FILL", fields)]
    if fill.self_trade or not fill.maker:
        reports.append(Report("INTEGRITY_OWN_TRADE", fields))
        reports += _begin_halt(state, "an order of ours took instead of making, or met another of ours")
    return reports


def _lowered(quote: Quote, fill: Fill) -> Quote | None:
    if (quote.wallet, quote.side, quote.price) != (fill.wallet, fill.side, fill.price):
        return quote
    left = quote.size - fill.size
    return Quote(quote.wallet, quote.side, quote.point, quote.price, left) if left > BaseLots(0) else None


def _vanished(state: State, view: WalletView, fills: tuple[Fill, ...], settings: Settings) -> list[AnyAction]:
    """Tell about orders that left the book without a fill or a cancel of ours: evicted."""
    before = state.views.get(view.wallet)
    if before is None:
        return []
    still = {order.order_id for order in view.orders} | {fill.order_id for fill in fills}
    still |= {
        cancel.order_id
        for flight in state.in_flight.values()
        if isinstance(flight.action, Execute)
        for cancel in flight.action.cancels
    }
    gone = [order for order in before.orders if order.order_id not in still]
    return [_evicted(state, order, "WALLET_ORDER_EVICTED", settings) for order in gone]


def _landed(state: State, fills: tuple[Fill, ...], settings: Settings) -> list[AnyAction]:
    """Take out of flight what landed at or before the reading; tell about placements that do not stand."""
    reports: list[AnyAction] = []
    filled = {(fill.wallet, fill.client_id) for fill in fills}
    for ticket, flight in list(state.in_flight.items()):
        if flight.landed is None or flight.landed > state.seen:
            continue
        del state.in_flight[ticket]
        if isinstance(flight.action, Execute):
            reports += _dropped(state, flight.action, filled, settings)
    return reports


def _dropped(
    state: State, action: Execute, filled: set[tuple[int, int]], settings: Settings
) -> list[AnyAction]:
    standing = {order.client_id for order in state.views[action.wallet].orders}
    reports: list[AnyAction] = []
    for place in action.places:
        wanted = any(_is_for(quote, place) for quote in state.target.quotes)
        if place.client_id in standing or (place.wallet, place.client_id) in filled or not wanted:
            state.backoffs.pop((place.side, place.price), None)
        else:
            reports.append(_evicted(state, place, "ORDER_DROPPED", settings))
    return reports


def _is_for(quote: Quote, place: Placement) -> bool:
    return (quote.wallet, quote.side, quote.price) == (place.wallet, place.side, place.price)


def _evicted(state: State, order: LiveOrder | Placement, name: str, settings: Settings) -> Report:
    """Note a lost order; where its side of the book is full, it must wait before it is tried again."""
    if _side_is_full(state, order.side, settings):
        known = state.backoffs.get((order.side, order.price))
        times = known.times + 1 if known else 1
        state.backoffs[order.side, order.price] = Backoff(
            state.now + settings.evict_backoff * 2 ** min(times - 1, 8), times
        )
    fields: dict[str, str | int] = {
        "side": order.side.name,
        "price": int(order.price),
        "size": int(order.size),
        "wallet": order.wallet,
    }
    return Report(name, fields)


def _side_is_full(state: State, side: Side, settings: Settings) -> bool:
    own = sum(order.side is side for view in state.views.values() for order in view.orders)
    return own >= capacity(side, state, settings)


def _resolve(state: State, event: BundleResolved, settings: Settings) -> list[AnyAction]:
    flights: list[InFlight] = [state.in_flight[t] for t in event.tickets if t in state.in_flight]
    fields: dict[str, str | int] = {"bundle": event.bundle_id, "reason": event.reason}
    if event.outcome is not Outcome.LANDED:
        for flight in flights:
            del state.in_flight[flight.ticket]
        return [Report(f"BUNDLE_{event.outcome.name}", fields)]
    state.spend(event.cost.fees + event.cost.tip, event.at)
    for flight in flights:
        flight.landed = event.slot
    # Where a reading has already shown that slot, no later one needs to come before the wallet is free again.
    return _landed(state, (), settings)
