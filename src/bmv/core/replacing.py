"""Which placement takes over the client id of which leaving order, so that one instruction does both.

The program's ``ReplaceOrdersByClientIds`` withdraws the orders with its ids before it places. A placement
that takes the id of a leaving order of its side therefore needs no cancel beside it. Leaving orders whose id
nobody takes are withdrawn before all placements.

Withdrawn one by one, an order may free too little for the first new ones although all together free enough;
the program would fail the whole bundle. So the orders that free most give their ids first, and ids are handed
on only where the funds suffice after every single placement, whatever instructions and transactions the
sequence is cut into; and that stays true when some of the placements are refused, because their orders then
leave first.
"""

from collections import Counter
from collections.abc import Sequence

from bmv.core.allocation import cost
from bmv.core.plan import LAST_CLIENT_ID, WalletPlan
from bmv.model import BID, SIDES, LiveOrder, MarketSpec, Placement, Side, WalletView


def numbered(change: WalletPlan, view: WalletView, spec: MarketSpec) -> tuple[Placement, ...]:
    """Return the placements of a change with the client ids to use; ``view`` is the wallet before it."""
    named = {cancel.order_id for cancel in change.cancels}
    leaving = [order for order in view.orders if order.order_id in named]
    held = Counter([order.client_id for order in view.orders])
    handed_on: dict[int, int] = {}
    for side in SIDES:
        places = [number for number, place in enumerate(change.places) if place.side is side]
        orders = [order for order in leaving if order.side is side]
        if places and orders:
            can_pay = _free(side, view, spec)
            ids = _handed_on([change.places[number] for number in places], orders, held, can_pay, spec)
            handed_on |= dict(zip(places, ids, strict=False))
    fresh = (number for number in range(1, LAST_CLIENT_ID + 1) if number not in held)
    return tuple(
        _with_id(place, handed_on[number] if number in handed_on else next(fresh))
        for number, place in enumerate(change.places)
    )


def _handed_on(
    places: Sequence[Placement],
    leaving: Sequence[LiveOrder],
    held: Counter[int],
    free: int,
    spec: MarketSpec,
) -> list[int]:
    """Return the ids that the first placements of a side take over; none where ``free`` funds do not suffice.

    An id that several orders have is nobody's.
    """
    usable = [order for order in leaving if order.client_id and held[order.client_id] == 1]
    usable.sort(key=lambda order: cost(order.side, order.price, order.size, spec), reverse=True)
    given = usable[: len(places)]
    handed = {order.order_id for order in given}
    free += sum(
        cost(order.side, order.price, order.size, spec) for order in leaving if order.order_id not in handed
    )
    for order, place in zip(given, places, strict=False):
        free += cost(order.side, order.price, order.size, spec)
        free -= cost(place.side, place.price, place.size, spec)
        if free < 0:
            return []
    return [order.client_id for order in given]


def _free(side: Side, view: WalletView, spec: MarketSpec) -> int:
    """Return what a wallet can spend on a side: lamports, or whole lots."""
    if side is BID:
        return int(view.quote_held + view.quote_free)
    return int(view.base_held + view.base_free) // spec.base_lot_size


def _with_id(place: Placement, client_id: int) -> Placement:
    return Placement(place.wallet, place.side, place.point, place.price, place.size, client_id)
