"""Which placement takes over the client id of which leaving order, so that one instruction does both.

The program's ``ReplaceOrdersByClientIds`` withdraws the orders with its ids before it places. A placement
that takes the id of a leaving order of its side therefore needs no cancel beside it. Leaving orders whose id
nobody takes are withdrawn before all placements.

Withdrawn one by one, an order may free too little for the first new ones although all together free enough;
the program would fail the whole bundle. So ids are handed on only where the funds suffice after every single
placement, whatever instructions and transactions the sequence is cut into; and that stays true when some of
the placements are refused, because their orders then leave first.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec

from bmv.core.allocation import cost
from bmv.core.plan import LAST_CLIENT_ID, WalletPlan
from bmv.model import LiveOrder, MarketSpec, Placement, Side, WalletView


def numbered(change: WalletPlan, view: WalletView, spec: MarketSpec) -> tuple[Placement, ...]:
    """Return the placements of a change with the client ids to use; ``view`` is the wallet before it."""
    named = {cancel.order_id for cancel in change.cancels}
    leaving = [order for order in view.orders if order.order_id in named]
    handed_on: dict[int, int] = {}
    for side in Side:
        places = [number for number, place in enumerate(change.places) if place.side is side]
        orders = [order for order in leaving if order.side is side]
        ids = _handed_on([change.places[number] for number in places], orders, view, spec)
        handed_on |= dict(zip(places, ids, strict=False))
    held = {order.client_id for order in view.orders}
    fresh = (number for number in range(1, LAST_CLIENT_ID + 1) if number not in held)
    return tuple(
        _with_id(place, handed_on[number] if number in handed_on else next(fresh))
        for number, place in enumerate(change.places)
    )


def _handed_on(
    places: Sequence[Placement], leaving: Sequence[LiveOrder], view: WalletView, spec: MarketSpec
) -> list[int]:
    """Return the ids that the first placements of a side take over; none where funds would not suffice."""
    shared = {number for number, count in Counter(o.client_id for o in view.orders).items() if count > 1}
    usable = [order for order in leaving if order.client_id and order.client_id not in shared]
    given = usable[: len(places)]
    alone = [order for order in leaving if order not in given]
    free = _free(places[0].side, view, spec) if places else 0
    free += sum(cost(order.side, order.price, order.size, spec) for order in alone)
    for order, place in zip(given, places, strict=False):
        free += cost(order.side, order.price, order.size, spec)
        free -= cost(place.side, place.price, place.size, spec)
        if free < 0:
            return []
    return [order.client_id for order in given]


def _free(side: Side, view: WalletView, spec: MarketSpec) -> int:
    """Return what a wallet can spend on a side: lamports, or whole lots."""
    if side is Side.BID:
        return int(view.quote_held + view.quote_free)
    return int(view.base_held + view.base_free) // spec.base_lot_size


def _with_id(place: Placement, client_id: int) -> Placement:
    return msgspec.structs.replace(place, client_id=client_id)
