"""The diff: what must change so that the book holds what the target wants.

The reconciler counts: every wanted quote and every order of ours comes out as keep, cancel or place, or as
deferred with a reason. Price in ticks is the identity of an order within a wallet and side.

Staging: a placement that would meet one of our own orders anywhere (live, leaving or in flight) is deferred
until that order is confirmed gone; nothing relies on two bundles landing in order. One change is bounded, so
that it fits a bundle; what is over comes with the next.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bmv.config import Settings
from bmv.core.decay import BPS
from bmv.model import BID, SIDES, Cancel, Level, LiveOrder, Placement, Quote, Side, WalletIndex, WalletView
from bmv.units import BaseLots, Ticks

LAST_CLIENT_ID = 128
MAX_CHANGE = 32
"""Cancels, and placements, in one change of a wallet."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """A wanted quote that is not placed now, and why."""

    quote: Quote
    reason: str


@dataclass(slots=True)
class WalletPlan:
    """The changes of one wallet."""

    wallet: WalletIndex
    cancels: list[Cancel] = field(default_factory=list)
    places: list[Placement] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.cancels or self.places)


@dataclass(slots=True)
class Plan:
    """What changes and what stays; ``wallets`` in wallet order, only those with changes."""

    kept: int = 0
    wallets: list[WalletPlan] = field(default_factory=list)
    deferred: list[Deferred] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OwnRange:
    """Our highest bid and lowest ask over everything that is or may come to stand."""

    highest_bid: Ticks | None
    lowest_ask: Ticks | None

    @property
    def crossed(self) -> bool:
        """Say whether two of our own orders could meet."""
        bid, ask = self.highest_bid, self.lowest_ask
        return bid is not None and ask is not None and bid >= ask

    def admits(self, side: Side, price: Ticks) -> bool:
        """Say whether an order of ours at ``price`` could meet none of our others."""
        if side is BID:
            return self.lowest_ask is None or price < self.lowest_ask
        return self.highest_bid is None or price > self.highest_bid


def own_range(orders: Iterable[LiveOrder | Placement | Quote | Level]) -> OwnRange:
    """Return our highest bid and lowest ask among ``orders``."""
    prices: tuple[list[Ticks], list[Ticks]] = ([], [])
    for order in orders:
        prices[order.side].append(order.price)
    bids, asks = prices
    return OwnRange(max(bids, default=None), min(asks, default=None))


def diff(
    target: Sequence[Quote],
    views: Sequence[WalletView],
    in_flight: Mapping[WalletIndex, Sequence[Placement]],
    settings: Settings,
    left_over: Sequence[LiveOrder] = (),
) -> Plan:
    """Compare the target with what stands.

    ``in_flight`` names the wallets to leave alone for now, with the placements that may still come to stand
    for them. ``left_over`` are orders of ours that no view shows; nothing may meet them. Every quote must
    belong to one of ``views``. Limits have not been applied yet.
    """
    plan = Plan()
    wanted: dict[WalletIndex, list[Quote]] = {view.wallet: [] for view in views}
    for quote in target:
        wanted[quote.wallet].append(quote)
    idle = [view for view in views if view.wallet not in in_flight]
    compared = [(view, *_compared(view, wanted[view.wallet], settings, plan)) for view in idle]
    changed = [(view, missing, unwanted) for view, missing, unwanted in compared if missing or unwanted]
    if not changed:
        return plan
    standing = own_range(
        [order for view in views for order in view.orders]
        + [place for places in in_flight.values() for place in places]
        + list(left_over)
    )
    for view, missing, unwanted in changed:
        change = WalletPlan(view.wallet, [cancel_of(order) for order in unwanted[:MAX_CHANGE]])
        if missing:
            _place(missing, view, change, standing, settings, plan)
        if change:
            plan.wallets.append(change)
    return plan


def _compared(
    view: WalletView, wanted: Sequence[Quote], settings: Settings, plan: Plan
) -> tuple[list[Quote], Sequence[LiveOrder]]:
    """Return the quotes for which no order stands, and the orders that no quote keeps; count those kept."""
    live = {order.price: order for order in view.orders}
    # Two orders of ours at one price are rare, so they are looked for only where there must be some.
    doubles = view.orders if len(live) < len(view.orders) else ()
    kept: set[int] = set()
    missing: list[Quote] = []
    for quote in wanted:
        there = _nearest_in_size(quote, doubles) if doubles else live.get(quote.price)
        if (
            there is not None
            and there.side is quote.side
            and (there.size == quote.size or close_enough(there.size, quote.size, settings))
        ):
            kept.add(there.order_id)
        else:
            missing.append(quote)
    plan.kept += len(kept)
    if len(kept) == len(view.orders):
        return missing, ()
    return missing, [order for order in view.orders if order.order_id not in kept]


def _place(
    missing: Sequence[Quote],
    view: WalletView,
    change: WalletPlan,
    standing: OwnRange,
    settings: Settings,
    plan: Plan,
) -> None:
    leaving = {cancel.order_id for cancel in change.cancels}
    staying = [order for order in view.orders if order.order_id not in leaving]
    taken = {order.client_id for order in staying}
    there = [{order.price for order in staying if order.side is side} for side in SIDES]
    ids = (number for number in range(1, LAST_CLIENT_ID + 1) if number not in taken)
    seats = settings.orders_per_wallet - len(staying)
    for quote in missing:
        placed = len(change.places)
        if not standing.admits(quote.side, quote.price):
            reason = "an own order on the other side must leave first"
        elif quote.price in there[quote.side]:
            reason = "the order of another size at its price must leave first"
        elif placed >= view.order_slots:
            # A slot of the account comes free when its event is consumed, not at the cancel.
            reason = "no free order slot before the next crank"
        elif placed >= min(MAX_CHANGE, seats):
            reason = "the change is full, or the wallet is until other orders have left"
        else:
            change.places.append(
                Placement(quote.wallet, quote.side, quote.point, quote.price, quote.size, next(ids))
            )
            continue
        plan.deferred.append(Deferred(quote, reason))


def _nearest_in_size(quote: Quote, orders: Sequence[LiveOrder]) -> LiveOrder | None:
    """Return the order at the quote's price whose size is nearest to it, if there is any."""
    there = (order for order in orders if (order.side, order.price) == (quote.side, quote.price))
    return min(there, key=lambda order: (abs(int(order.size - quote.size)), order.order_id), default=None)


def close_enough(have: BaseLots, want: BaseLots, settings: Settings) -> bool:
    """Say whether an order of the size ``have`` is kept where ``want`` is wanted."""
    return +abs(have - want) * BPS <= +want * +settings.size_tolerance


def cancel_of(order: LiveOrder) -> Cancel:
    """Return the cancel that withdraws ``order``."""
    return Cancel(order.wallet, order.side, order.price, order.order_id, order.client_id)
