"""What a run would do first, what that costs, and what market it makes: ``bmv plan``.

Rules of this file
- The numbers are those of the real engine, rehearsed against the chain as it is; nothing is sent.
- Prices are SOL per token, amounts SOL or tokens, as people write them.
"""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

import msgspec
from solders.pubkey import Pubkey

from bmv.app.live import LiveOptions, Rehearsed, rehearse
from bmv.app.preview import Depth, depth_of
from bmv.config import Settings
from bmv.core.cost import Estimate
from bmv.core.decay import FINE
from bmv.core.outlook import best, plan_cost, side_rooms, whole_plan
from bmv.core.plan import Plan
from bmv.core.pricing import NO_PRICE
from bmv.core.state import Phase, State
from bmv.events import AnyAction
from bmv.model import Cancel, MarketSpec, Placement, Quote, Side
from bmv.services.rungs import reason
from bmv.units import LAMPORTS_PER_SOL, BaseLots, Lamports, Ticks, notional

_SIDES = {Side.BID: "bid", Side.ASK: "ask"}
Key = tuple[int, Side, Ticks]


class PlannedQuote(msgspec.Struct, frozen=True):
    """One order of the ladder: ``change`` is keep, place, or what it waits for; ``why`` its reason."""

    wallet: int
    side: str
    price: Decimal
    size: Decimal
    sol: Decimal
    change: str
    why: str


class PlannedCancel(msgspec.Struct, frozen=True):
    """An order that stands and is withdrawn."""

    wallet: int
    side: str
    price: Decimal


class PlannedCost(msgspec.Struct, frozen=True):
    """What is kept and changed, and what sending it takes."""

    kept: int
    cancels: int
    places: int
    transactions: int
    bundles: int
    tips_sol: Decimal
    fees_sol: Decimal


class Levels(msgspec.Struct, frozen=True):
    """Levels ``wanted`` of a side, ``ticks`` there are for them in its zone, and how many it gets."""

    side: str
    wanted: int
    ticks: int
    quoted: int


class Wait(msgspec.Struct, frozen=True):
    """Levels that wait for one reason, and the money in them: SOL for bids, tokens for asks."""

    side: str
    levels: int
    amount: Decimal
    reason: str


class Proposed(msgspec.Struct, frozen=True):
    """A transfer between wallets that would help."""

    source: int
    target: int
    asset: str
    amount: Decimal
    reason: str


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A plan; prices are None where they are not known.

    ``actions`` is what would be sent first; where that opens accounts, the rest is as if they were open.
    """

    market: str
    feed_up: bool
    price: Decimal | None
    pivot: Decimal | None
    best_bid: Decimal | None
    best_ask: Decimal | None
    foreign_bid: Decimal | None
    foreign_ask: Decimal | None
    spread_pct: Decimal | None
    depth: tuple[Depth, ...]
    orders_found: int
    levels: tuple[Levels, ...]
    quotes: tuple[PlannedQuote, ...]
    cancels: tuple[PlannedCancel, ...]
    cost: PlannedCost
    waiting: tuple[Wait, ...]
    transfers: tuple[Proposed, ...]
    warnings: tuple[str, ...]
    actions: list[AnyAction]


def planned(options: LiveOptions, wallets: Sequence[Pubkey]) -> Planned:
    """Rehearse a run of these wallets and tell what comes of it; raises what ``rehearse`` raises."""
    return plan_of(rehearse(options, wallets), options.settings)


def plan_of(found: Rehearsed, settings: Settings) -> Planned:
    """Return the plan in what was rehearsed."""
    state, spec, market = found.state, found.state.spec, found.state.market
    plan = whole_plan(state, settings)
    quotes = state.target.quotes
    price = None if market.reading is None else _fine(spec, market.reading.price_fine)
    bid, ask = (_price(spec, best(quotes, side)) for side in Side)
    return Planned(
        market=spec.address,
        feed_up=state.feed_up,
        price=price,
        pivot=_fine(spec, market.capped_pivot.value_fine),
        best_bid=bid,
        best_ask=ask,
        foreign_bid=_price(spec, state.book.best_bid),
        foreign_ask=_price(spec, state.book.best_ask),
        spread_pct=round((ask - bid) / price * 100, 3) if price and bid and ask else None,
        depth=() if price is None else depth_of(spec, quotes, price),
        orders_found=found.orders_found,
        levels=_levels(state, settings),
        quotes=_quotes(state, plan, found),
        cancels=tuple(_cancel(spec, each) for change in plan.wallets for each in change.cancels),
        cost=_cost(plan_cost(plan, state, settings)),
        waiting=_waiting(state),
        transfers=_transfers(state),
        warnings=tuple(_warnings(found, settings)),
        actions=found.actions,
    )


def _levels(state: State, settings: Settings) -> tuple[Levels, ...]:
    quoted = Counter(quote.side for quote in state.target.quotes)
    return tuple(
        Levels(_SIDES[room.side], room.levels, room.ticks, quoted[room.side])
        for room in side_rooms(state, settings)
    )


def _quotes(state: State, plan: Plan, found: Rehearsed) -> tuple[PlannedQuote, ...]:
    waits = {_key(each.quote): each.reason for each in plan.deferred}
    waits |= {_key(each.place): each.reason for each in (found.approved.refusals if found.approved else ())}
    placed = {_key(place) for change in plan.wallets for place in change.places}
    return tuple(_quote(state.spec, quote, waits, placed) for quote in state.target.quotes)


def _key(order: Quote | Placement) -> Key:
    return order.wallet, order.side, order.price


def _quote(spec: MarketSpec, quote: Quote, waits: dict[Key, str], placed: set[Key]) -> PlannedQuote:
    key = _key(quote)
    change = "place" if key in placed else "keep"
    return PlannedQuote(
        wallet=quote.wallet,
        side=_SIDES[quote.side],
        price=spec.price(quote.price),
        size=spec.size(quote.size),
        sol=_sol(notional(quote.price, quote.size, spec.quote_lot_size)),
        change=f"wait: {waits[key]}" if key in waits else change,
        why=reason(quote, spec),
    )


def _cancel(spec: MarketSpec, cancel: Cancel) -> PlannedCancel:
    return PlannedCancel(cancel.wallet, _SIDES[cancel.side], spec.price(cancel.price))


def _cost(found: Estimate) -> PlannedCost:
    return PlannedCost(
        kept=found.kept,
        cancels=found.cancels,
        places=found.places,
        transactions=found.transactions,
        bundles=found.bundles,
        tips_sol=_sol(found.tips),
        fees_sol=_sol(found.fees),
    )


def _waiting(state: State) -> tuple[Wait, ...]:
    return tuple(
        Wait(_SIDES[each.side], each.levels, _amount(state.spec, each.side, each.amount), str(each.clip))
        for each in state.target.waiting
    )


def _transfers(state: State) -> tuple[Proposed, ...]:
    sides = {"SOL": Side.BID, "TOKEN": Side.ASK}
    return tuple(
        Proposed(
            each.source,
            each.target,
            each.asset,
            _amount(state.spec, sides[each.asset], each.amount),
            each.reason,
        )
        for each in state.target.transfers
    )


def _warnings(found: Rehearsed, settings: Settings) -> list[str]:
    state, told = found.state, []
    if not state.feed_up:
        told.append("the chain showed nothing in time")
    elif state.halt_reason:
        told.append(f"a run would end at once: {state.halt_reason}")
    elif state.phase is Phase.QUOTING and state.market.reading is None:
        told.append(f"a run would wait a minute for a price, then end: {NO_PRICE}")
    elif found.approved is None:
        told.append("no ladder could be decided in time")
    if found.forgotten:
        told.append(f"what earlier runs recorded is not in this plan: {found.forgotten}")
    for side in state.market.closed:
        told.append(
            f"OUT_OF_CHANNEL: CHANNEL_MODE=pivot leaves the {_SIDES[side]} side empty at this price;"
            " CHANNEL_MODE=follow always quotes both"
        )
    for room in side_rooms(state, settings):
        if 0 < room.ticks < room.levels:
            told.append(
                f"the {_SIDES[room.side]} zone has {room.ticks} ticks for {room.levels} levels:"
                " one level a tick"
            )
    told += [f"the {_SIDES[side]} side is stopped: {why}" for side, why in state.guards.stopped.items()]
    told += [f"wallet {wallet} is set aside: {why}" for wallet, why in state.guards.aside.items()]
    return told


def _sol(amount: Lamports) -> Decimal:
    return Decimal(int(amount)) / LAMPORTS_PER_SOL


def _amount(spec: MarketSpec, side: Side, amount: int) -> Decimal:
    return _sol(Lamports(amount)) if side is Side.BID else spec.size(BaseLots(amount))


def _price(spec: MarketSpec, ticks: Ticks | None) -> Decimal | None:
    return None if ticks is None else spec.price(ticks)


def _fine(spec: MarketSpec, fine: int | None) -> Decimal | None:
    return None if fine is None else spec.price(Ticks(fine // FINE))
