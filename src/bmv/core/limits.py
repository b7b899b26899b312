"""The one choke point: every action is approved or refused here, with a reason.

``Approved`` can be made by ``approve`` alone; the dispatcher takes nothing else. Cancels always pass. A
placement passes if all of these hold:
1. The engine quotes, and the chain was seen a moment ago.
2. No cost budget is spent, the day's or the hour's, and the lease on the market is ours for long enough.
3. Its wallet has its accounts, and no other change under way.
   The wallet is not set aside.
4. The wallet can pay for it, cancels of the same change included, with no more than MAX_ORDER_% of what it
   owns, and holds fewer than ORDERS_PER_WALLET orders.
5. It does not cross the foreign book (a post-only order would be dropped silently), and P has not passed it:
   a repair that would stand on the wrong side of P waits for the next rebuild.
6. Its side of the book has room beside the headroom left to others.
7. Where CHANNEL_MODE=pivot binds it: it is no ask below the Pivot, no bid above it.
8. While a price jump is not confirmed: it is no better than the best order of ours that stands.
9. No guard has stopped its side, and it lies within the price bands.
10. With it, whatever lands of what flies, neither the side nor the wallet is exposed further than allowed,
   and the order itself is worth at most MAX_ORDER.

The treasury sends and converts under the first two rules only.

Over all wallets and left-over accounts, and over what stands, flies and is approved, our highest bid
stays below our lowest ask. The plan already stages for that, so a hit here is a bug: it raises ``OwnCross``,
nothing is sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bmv.config import Settings
from bmv.core.allocation import cost, largest_order
from bmv.core.bands import price_limits
from bmv.core.capacity import capacity
from bmv.core.decay import FINE
from bmv.core.exposure import caps, promised
from bmv.core.plan import OwnRange, own_range
from bmv.core.state import Phase, State
from bmv.errors import OwnCross
from bmv.events import AnyAction, Execute, TreasuryAction
from bmv.model import ASK, BID, SIDES, Cancel, LiveOrder, MarketSpec, Placement, Side, WalletIndex, WalletView
from bmv.units import LAMPORTS_PER_SOL, Lamports, Millis, notional

GAS_FOR_CANCELS = Lamports(LAMPORTS_PER_SOL // 50)
RESERVED_TIPS = 4
"""A wallet without these places nothing: without gas nothing of it could ever be withdrawn."""
_SEAL = object()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A placement that was not approved, and the rule that stopped it."""

    place: Placement
    reason: str


class Approved:
    """Actions that passed the limits; only ``approve`` makes one."""

    __slots__ = ("actions", "refusals")

    def __init__(self, seal: object, actions: tuple[AnyAction, ...], refusals: tuple[Refusal, ...]) -> None:
        if seal is not _SEAL:
            raise TypeError("only core.limits.approve makes an Approved")
        self.actions, self.refusals = actions, refusals


def approve(actions: Sequence[AnyAction], state: State, settings: Settings) -> Approved:
    """Check ``actions`` against the limits.

    Placements that break a limit are taken out and returned as refusals; a change left empty is dropped.
    Raises OwnCross if what would be sent, with what stands and flies, could make two of our orders meet.
    """
    if not actions:
        return Approved(_SEAL, (), ())
    if not any(isinstance(action, Execute) and action.places for action in actions):
        return Approved(_SEAL, tuple(_payable(actions, state, settings)), ())
    screen = _Screen(state, settings)
    approved: list[AnyAction] = []
    for action in _payable(actions, state, settings):
        if isinstance(action, Execute):
            kept = screen.passing(action)
            if kept or action.cancels:
                approved.append(Execute(action.ticket, action.wallet, action.cancels, kept))
        else:
            approved.append(action)
    _never_meet(approved, state)
    return Approved(_SEAL, tuple(approved), tuple(screen.refusals))


def _payable(actions: Sequence[AnyAction], state: State, settings: Settings) -> list[AnyAction]:
    """Leave out what the treasury would send while nothing may be placed."""
    if not any(isinstance(action, TreasuryAction) for action in actions) or not standstill(state, settings):
        return list(actions)
    return [action for action in actions if not isinstance(action, TreasuryAction)]


def gas_reserve(settings: Settings) -> Lamports:
    """Return what a wallet keeps for withdrawing its orders: fees, and a few of the largest tips."""
    return GAS_FOR_CANCELS + settings.jito_tip * RESERVED_TIPS


def standstill(state: State, settings: Settings) -> str:
    """Return why nothing may be placed now, by anyone; '' if something may."""
    if state.phase is not Phase.QUOTING:
        return f"the engine is {state.phase.value}"
    if state.now - state.seen_at > settings.stale_after or not state.feed_up:
        return "the chain has not been seen lately"
    if budget := state.budget_spent(settings, state.now):
        return f"the {budget}'s cost budget is spent"
    if state.guards.failures.paused(state.now):
        return "nothing that was sent lately has landed"
    if not leased(state, state.now, settings):
        return "Redis has not confirmed the lease on the market lately"
    return ""


def leased(state: State, now: Millis, settings: Settings) -> bool:
    """Say whether what is placed at ``now`` is dead before anybody else can have the lease on the market."""
    return state.lease_until is None or now + settings.max_order_age < state.lease_until


@dataclass(slots=True)
class _Means:
    """What one wallet can still do within one change, per side where it matters.

    ``added`` is what the change has placed so far less what it withdraws, ``worth`` all its orders then,
    counted where MAX_WALLET_EXPOSURE_SOL limits it.
    """

    money: dict[Side, int]
    largest: dict[Side, int]
    vacated: dict[Side, int]
    added: dict[Side, int]
    worth: dict[Side, Lamports]
    seats: int


class _Screen:
    """Pass or refuse placements one after another; what passes uses up room, money and seats."""

    def __init__(self, state: State, settings: Settings) -> None:
        self.refusals: list[Refusal] = []
        self._state, self._settings = state, settings
        self._standstill = standstill(state, settings)
        self._tries_one = state.guards.failures.pausing(state.now)
        self._busy: set[WalletIndex] = set(state.busy())
        taken = {side: promised(side, state) for side in SIDES}
        self._room = {side: capacity(side, state, settings) - taken[side][0] for side in SIDES}
        self._left = {side: most - taken[side][1] for side, most in caps(state, settings).items()}
        self._band = price_limits(state, settings)
        confirmed = state.market.reading is None or state.market.reading.confirmed
        live = [order for view in state.views.values() for order in view.orders] if not confirmed else []
        self._kept_within: OwnRange | None = None if confirmed else own_range(live)

    def passing(self, action: Execute) -> tuple[Placement, ...]:
        """Return the placements of ``action`` that pass; the others are added to ``refusals``."""
        view = self._state.views.get(action.wallet)
        general = self._standstill or self._wallet_refusal(action.wallet, view)
        self._busy.add(action.wallet)
        if general or view is None:
            self.refusals += [Refusal(place, general) for place in action.places]
            return ()
        means = _means(view, action.cancels, self._state, self._settings)
        kept: list[Placement] = []
        for place in action.places:
            reason = (
                self._guard_refusal(place)
                or self._book_refusal(place, means)
                or self._passed_refusal(place)
                or self._exposure_refusal(place, means)
                or self._pay(place, means)
            )
            if reason:
                self.refusals.append(Refusal(place, reason))
            else:
                kept.append(place)
        if kept and self._tries_one:
            self._standstill = "nothing lands; one change at a time is tried"
        return tuple(kept)

    def _wallet_refusal(self, wallet: WalletIndex, view: WalletView | None) -> str:
        if view is None or not view.ready:
            return "the wallet's accounts are not open"
        if wallet in self._state.guards.aside:
            return f"the wallet is set aside: {self._state.guards.aside[wallet]}"
        if view.gas < gas_reserve(self._settings):
            return "the wallet's last gas is kept for its cancels"
        if wallet in self._busy:
            return "the wallet's last change is not resolved, or failed a moment ago"
        return ""

    def _guard_refusal(self, place: Placement) -> str:
        if place.side in self._state.guards.stopped:
            return f"the side is stopped: {self._state.guards.stopped[place.side]}"
        if not self._band.admits(place.side, int(place.price) * FINE):
            return "beyond the price band"
        return ""

    def _exposure_refusal(self, place: Placement, means: _Means) -> str:
        settings, spec = self._settings, self._state.spec
        worth = notional(place.price, place.size, spec.quote_lot_size)
        if settings.max_order and worth > settings.max_order:
            return "worth more than MAX_ORDER_SOL"
        if settings.max_wallet_exposure and means.worth[place.side] + worth > settings.max_wallet_exposure:
            return "the wallet's side would come to more than MAX_WALLET_EXPOSURE_SOL"
        if _more(place, means, spec) > self._left[place.side]:
            return "the side would come to more than its exposure cap"
        return ""

    def _book_refusal(self, place: Placement, means: _Means) -> str:
        book, bid = self._state.book, place.side is BID
        if bid and book.best_ask is not None and place.price >= book.best_ask:
            return "would cross a foreign ask"
        if not bid and book.best_bid is not None and place.price <= book.best_bid:
            return "would cross a foreign bid"
        zones = self._state.market.channel
        if zones is not None and zones.passed(place.side, place.price):
            return "on the wrong side of the Pivot, in pivot mode"
        if self._room[place.side] <= 0 and means.vacated[place.side] <= 0:
            return "the book has no room left beside the headroom for others"
        if self._kept_within is not None:
            best = self._kept_within.highest_bid if bid else self._kept_within.lowest_ask
            if best is None or (place.price > best if bid else place.price < best):
                return "a price jump is not confirmed: no bid is raised, no ask lowered"
        return ""

    def _passed_refusal(self, place: Placement) -> str:
        reading, fine = self._state.market.reading, int(place.price) * FINE
        if reading is None:
            return ""
        passed = fine >= reading.price_fine if place.side is BID else fine <= reading.price_fine
        return "P has passed its price" if passed else ""

    def _pay(self, place: Placement, means: _Means) -> str:
        """Return why the wallet cannot; where it can, take what the placement uses up."""
        price = cost(place.side, place.price, place.size, self._state.spec)
        if means.seats <= 0:
            return "the wallet holds ORDERS_PER_WALLET orders"
        if price > means.money[place.side]:
            return "not enough free funds in the wallet"
        if price > means.largest[place.side]:
            return "larger than MAX_ORDER_% of what the wallet owns"
        means.seats -= 1
        means.money[place.side] -= price
        self._left[place.side] -= _more(place, means, self._state.spec)
        means.added[place.side] += price
        means.worth[place.side] += notional(place.price, place.size, self._state.spec.quote_lot_size)
        # A seat on the book that the same change gives up first; the other bundles may land later or never.
        if means.vacated[place.side] > 0:
            means.vacated[place.side] -= 1
        else:
            self._room[place.side] -= 1
        return ""


def _more(place: Placement, means: _Means, spec: MarketSpec) -> int:
    """Return by how much a placement raises what its side may come to; what its change withdraws is gone."""
    added, price = means.added[place.side], cost(place.side, place.price, place.size, spec)
    return max(0, added + price) - max(0, added)


def _means(view: WalletView, cancels: Sequence[Cancel], state: State, settings: Settings) -> _Means:
    """Return what a wallet can do; a cancel frees its funds within the same transaction."""
    spec = state.spec
    named = {cancel.order_id for cancel in cancels}
    money = {
        BID: int(view.quote_held + view.quote_free),
        ASK: int(view.base_held + view.base_free) // spec.base_lot_size,
    }
    vacated, added = dict.fromkeys(SIDES, 0), dict.fromkeys(SIDES, 0)
    for order in view.orders if named else ():
        if order.order_id in named:
            spent = cost(order.side, order.price, order.size, spec)
            money[order.side] += spent
            vacated[order.side] += 1
            added[order.side] -= spent
    counted = view.orders if settings.max_wallet_exposure else ()
    staying = [order for order in counted if order.order_id not in named]
    return _Means(
        money=money,
        largest={side: largest_order(view, side, spec, settings) for side in SIDES},
        vacated=vacated,
        added=added,
        worth={side: _worth(side, staying, spec) for side in SIDES},
        seats=settings.orders_per_wallet - len(view.orders) + sum(vacated.values()),
    )


def _worth(side: Side, orders: Sequence[LiveOrder], spec: MarketSpec) -> Lamports:
    lots = sum([+order.price * +order.size for order in orders if order.side is side])
    return Lamports(lots * spec.quote_lot_size)


def _never_meet(actions: Sequence[AnyAction], state: State) -> None:
    placed = [place for action in actions if isinstance(action, Execute) for place in action.places]
    if not placed:
        return
    live: list[LiveOrder | Placement] = [order for view in state.views.values() for order in view.orders]
    span = own_range([*live, *state.flying_places(), *placed])
    if span.crossed:
        raise OwnCross(f"own bid {span.highest_bid} would meet own ask {span.lowest_ask}; nothing was sent")
    # What was left behind may cross what flies, which was decided before it was found: only new orders count.
    behind = own_range(state.left_over_orders())
    for place in placed:
        if not behind.admits(place.side, place.price):
            raise OwnCross(f"own {place.side.name} {place.price} would meet a left-over order of ours")
