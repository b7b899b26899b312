"""Which placement takes over the client id of which leaving order, so that one instruction does both.

The program's ``ReplaceOrdersByClientIds`` withdraws the orders with its ids, of either side, before it
places. A placement that takes the id of a leaving order therefore needs no cancel beside it: one of its own
side, or one left over of the other. Leaving orders whose id nobody takes are withdrawn before all placements.

Withdrawn one by one, an order may free too little for the first new ones although all together free enough;
the program would fail the whole bundle. So the orders that free most give their ids first, and ids are handed
on only where the funds suffice after every single placement, whatever instructions and transactions the
sequence is cut into; and that stays true when some of the placements are refused, because their orders then
leave first. A side that takes ids of the other is placed first: what it withdraws there is free by then.
"""

from collections import Counter
from collections.abc import Sequence

from bmv.core.allocation import cost, spent
from bmv.core.plan import LAST_CLIENT_ID, WalletPlan
from bmv.model import ASK, BID, SIDES, LiveOrder, MarketSpec, Placement, Side, WalletView


def numbered(change: WalletPlan, view: WalletView, spec: MarketSpec) -> tuple[Placement, ...]:
    """Return the placements of a change with the client ids to use, in the order to place them in.

    ``view`` is the wallet before it.
    """
    named = {cancel.order_id for cancel in change.cancels}
    leaving = [order for order in view.orders if order.order_id in named]
    held = Counter([order.client_id for order in view.orders])
    # An id that several orders have is nobody's.
    usable = [order for order in leaving if order.client_id and held[order.client_id] == 1]
    usable.sort(key=lambda order: cost(order.side, order.price, order.size, spec), reverse=True)
    coming = [[place for place in change.places if place.side is side] for side in SIDES]
    givers = [[order for order in usable if order.side is side] for side in SIDES]
    fresh = (number for number in range(1, LAST_CLIENT_ID + 1) if number not in held)
    lacks = [len(coming[side]) - len(givers[side]) for side in SIDES]
    first = ASK if lacks[ASK] > 0 > lacks[BID] else BID
    spare = givers[first.opposite][len(coming[first.opposite]) :]
    found: list[Placement] = []
    for side in (first, first.opposite):
        own = givers[side][: len(coming[side])]
        gone = [order for order in leaving if order.side is side]
        free = _free(side, view, spec) + spent(side, gone, spec) - spent(side, own, spec)
        taken = own if _suffices(free, own, coming[side], spec) else []
        ids = iter([order.client_id for order in [*taken, *(spare if side is first else ())]])
        found += [_with_id(place, next(ids, 0) or next(fresh)) for place in coming[side]]
    return tuple(found)


def _suffices(free: int, given: Sequence[LiveOrder], places: Sequence[Placement], spec: MarketSpec) -> bool:
    """Say whether ``free`` funds suffice after each placement, every one freeing first what it replaces."""
    for order, place in zip(given, places, strict=False):
        free += cost(order.side, order.price, order.size, spec)
        free -= cost(place.side, place.price, place.size, spec)
        if free < 0:
            return False
    return True


def _free(side: Side, view: WalletView, spec: MarketSpec) -> int:
    """Return what a wallet can spend on a side: lamports, or whole lots."""
    if side is BID:
        return int(view.quote_held + view.quote_free)
    return int(view.base_held + view.base_free) // spec.base_lot_size


def _with_id(place: Placement, client_id: int) -> Placement:
    return Placement(place.wallet, place.side, place.point, place.price, place.size, client_id)
