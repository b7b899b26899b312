"""What must never be, written down once more as plainly as it goes, for states of a random world.

Nothing here calls what it checks: orders are added up one by one, and of everything that flies the worst is
assumed, for bids and asks apart.
"""

from collections.abc import Sequence

from bmv.config import Settings
from bmv.core.limits import Approved
from bmv.core.state import Phase, State
from bmv.events import Execute
from bmv.model import LiveOrder, Placement, Side
from bmv.units import LAMPORTS_PER_SOL
from tests.core.exchange import Exchange, Standing


def of_world(exchange: Exchange, flying: Sequence[Execute], chosen: Settings) -> None:
    """Assert what holds whatever lands of ``flying``, in whatever order, on what truly stands."""
    places = [place for action in flying for place in action.places]
    bids = [o.price for o in exchange.own() if o.side is Side.BID]
    bids += [int(place.price) for place in places if place.side is Side.BID]
    asks = [o.price for o in exchange.own() if o.side is Side.ASK]
    asks += [int(place.price) for place in places if place.side is Side.ASK]
    assert not bids or not asks or max(bids) < min(asks), "two of our orders could meet"
    for wallet in range(len(exchange.accounts)):
        changes = [action for action in flying if action.wallet == wallet and action.places]
        assert len(changes) <= 1, "two changes of a wallet could land in any order"
        mine = [o for o in exchange.own() if o.owner == wallet]
        after = _after(mine, changes)
        assert len(after) <= exchange.most_orders
        assert len({(side, price) for side, price, _ in after}) == len(after), "an order is doubled"
        if chosen.max_wallet_exposure:
            for side in Side:
                worth = sum(price * size for at, price, size in after if at is side)
                assert worth * exchange.spec.quote_lot_size <= max(
                    int(chosen.max_wallet_exposure), _worth(mine, side, exchange)
                )
    for side in Side:
        count, worth = _worst(exchange, flying, side)
        full = exchange.spec.bid_capacity if side is Side.BID else exchange.spec.ask_capacity
        assert count * 10_000 <= full * (10_000 - int(chosen.book_headroom)), "the book's headroom is used up"
        if side is Side.BID and chosen.max_bid_exposure:
            assert worth <= int(chosen.max_bid_exposure)


def of_approval(approved: Approved, state: State, chosen: Settings) -> None:
    """Assert what holds for everything approved, on what the engine knew: money, sizes, guards, bands."""
    lot = state.spec.quote_lot_size
    token = 10**state.spec.base_decimals
    for action in approved.actions:
        if not isinstance(action, Execute) or not action.places:
            continue
        view = state.views[action.wallet]
        assert state.phase is Phase.QUOTING
        assert view.ready
        assert not view.frozen
        assert state.now - state.seen_at <= chosen.stale_after
        assert state.feed_up
        named = {cancel.order_id for cancel in action.cancels}
        leaving = [order for order in view.orders if order.order_id in named]
        for side in Side:
            asked = _spent([place for place in action.places if place.side is side], lot)
            back = _spent([order for order in leaving if order.side is side], lot)
            free = int(view.quote_held + view.quote_free)
            lots = int(view.base_held + view.base_free) // state.spec.base_lot_size
            assert asked <= (free if side is Side.BID else lots) + back, "more than the wallet holds"
        for place in action.places:
            owned = view.quote_total if place.side is Side.BID else view.base_total
            most = int(owned) // (1 if place.side is Side.BID else state.spec.base_lot_size)
            assert _spent([place], lot) * 10_000 <= most * int(chosen.max_order_of_wallet)
            worth = int(place.price) * int(place.size) * lot
            assert not chosen.max_order or worth <= int(chosen.max_order)
            # Lamports per lot -> SOL per token: lots per token over lamports per SOL.
            scaled = int(place.price) * lot * token
            unit = state.spec.base_lot_size * LAMPORTS_PER_SOL
            if place.side is Side.BID and chosen.max_price:
                assert scaled <= chosen.max_price * unit
            if place.side is Side.ASK and chosen.min_price:
                assert scaled >= chosen.min_price * unit
    assert not _crossed(state), "the target crosses itself"


def _after(mine: Sequence[Standing], changes: Sequence[Execute]) -> list[tuple[Side, int, int]]:
    """Return (side, price, size) of a wallet's orders once its change has landed."""
    gone = {cancel.order_id for action in changes for cancel in action.cancels}
    stays = [(o.side, o.price, o.size) for o in mine if o.number not in gone]
    return stays + [(p.side, int(p.price), int(p.size)) for action in changes for p in action.places]


def _worst(exchange: Exchange, flying: Sequence[Execute], side: Side) -> tuple[int, int]:
    """Return the most orders a side may hold and the most they may be worth, each change landing or not."""
    mine = {o.number: o for o in exchange.own() if o.side is side}
    count, worth = len(mine), _worth(list(mine.values()), side, exchange)
    for action in flying:
        places = [place for place in action.places if place.side is side]
        leaving = [mine[cancel.order_id] for cancel in action.cancels if cancel.order_id in mine]
        added = sum(int(p.price) * int(p.size) for p in places) * exchange.spec.quote_lot_size
        count += max(0, len(places) - len(leaving))
        worth += max(0, added - _worth(leaving, side, exchange))
    return count, worth


def _worth(orders: Sequence[Standing], side: Side, exchange: Exchange) -> int:
    return sum(o.price * o.size for o in orders if o.side is side) * exchange.spec.quote_lot_size


def _spent(orders: Sequence[Placement | LiveOrder], lot: int) -> int:
    return sum(int(o.price) * int(o.size) * lot if o.side is Side.BID else int(o.size) for o in orders)


def _crossed(state: State) -> bool:
    bids = [int(quote.price) for quote in state.target.quotes if quote.side is Side.BID]
    asks = [int(quote.price) for quote in state.target.quotes if quote.side is Side.ASK]
    return bool(bids and asks and max(bids) >= min(asks))
