"""How much our orders may come to, and what those come to that stand or fly (SPEC 3.4, 3.5 and 7).

Rules of this file
- Bids are counted in the lamports they cost, asks in base lots, as budgets are.
- What flies counts as far as it adds: a change lands as a whole or not at all, so what it withdraws first is
  taken off. A cancel of what does not stand any more frees nothing.
- An order is kept while it is larger than wanted by up to SIZE_TOLERANCE. So that a plan never asks for what
  ``limits`` refuses for ever, a ladder is planned that much below the caps in SOL, which hold to the lamport;
  MAX_BASE_SHARE is met by what is planned, and exceeded by that much at most.
- Tokens are valued at the P their side was built at, when it is planned and after.
"""

from typing import NamedTuple

from bmv.config import Settings
from bmv.core.allocation import spent
from bmv.core.decay import BPS, FINE
from bmv.core.financing import treasury_worth
from bmv.core.ladder import exposure_cap
from bmv.core.state import InFlight, State
from bmv.events import Execute
from bmv.model import ASK, BID, SIDES, LiveOrder, Side
from bmv.units import BaseLots, Lamports


class Cap(NamedTuple):
    """What a side may come to: ``planned`` as a ladder is built, ``most`` in any case."""

    planned: int
    most: int


def caps(state: State, settings: Settings) -> dict[Side, int]:
    """Return the most each side may come to, at the P it was built at; lamports for bids, lots for asks."""
    reading = state.market.reading
    now = reading.price_fine if reading is not None else 1
    prices = {side: state.target.prices.get(side, now) for side in SIDES}
    return {
        BID: bid_cap(state, settings, prices[BID]).most,
        ASK: ask_cap(state, settings, prices[ASK]).most,
    }


def bid_cap(state: State, settings: Settings, price_fine: int) -> Cap:
    """Return what all bids may cost: MAX_BASE_SHARE with every bid filled, and MAX_BID_EXPOSURE."""
    sol = sum((view.quote_total for view in state.views.values()), Lamports(0))
    bought = value(max(BaseLots(0), state.flow.net_base), price_fine, state.spec.quote_lot_size)
    share = max(0, int(exposure_cap(bought, sol, treasury_worth(state), settings.max_base_share)))
    cap = Cap(share, grown(share, settings))
    most = int(settings.max_bid_exposure)
    return Cap(min(cap.planned, shrunk(most, settings)), min(cap.most, most)) if most else cap


def ask_cap(state: State, settings: Settings, price_fine: int) -> Cap:
    """Return how many lots all asks may offer: MAX_ASK_EXPOSURE at P, else all there are."""
    if settings.max_ask_exposure:
        most = int(settings.max_ask_exposure) * FINE // (price_fine * state.spec.quote_lot_size)
        return Cap(shrunk(most, settings), most)
    atoms = sum(int(view.base_total) for view in state.views.values())
    return Cap(atoms // state.spec.base_lot_size, atoms // state.spec.base_lot_size)


def grown(amount: int, settings: Settings) -> int:
    """Return what orders wanted at ``amount`` may come to: each may be larger by SIZE_TOLERANCE."""
    return amount * (BPS + int(settings.size_tolerance)) // BPS


def shrunk(amount: int, settings: Settings) -> int:
    """Return what may be wanted so that it never comes to more than ``amount``."""
    return amount * BPS // (BPS + int(settings.size_tolerance))


def value(lots: BaseLots, price_fine: int, quote_lot_size: int) -> Lamports:
    """Return what lots are worth at a price, rounded down."""
    return Lamports(int(lots) * price_fine * quote_lot_size // FINE)


def promised(side: Side, state: State) -> tuple[int, int]:
    """Return how many orders a side may come to hold and what they spend, whatever lands of what flies."""
    orders = [order for view in state.views.values() for order in view.orders if order.side is side]
    count, amount = len(orders), spent(side, orders, state.spec)
    standing = {order.order_id: order for order in orders} if state.in_flight else {}
    for flight in state.in_flight.values():
        more, dearer = _added(flight, side, standing, state)
        count, amount = count + more, amount + dearer
    return count, amount


def _added(flight: InFlight, side: Side, standing: dict[int, LiveOrder], state: State) -> tuple[int, int]:
    """Return by how much a change in flight may raise a side's ``standing`` orders and their cost."""
    if not isinstance(flight.action, Execute) or flight.arrived:
        # What has been seen of it stands among the others, and the rest was dropped.
        return 0, 0
    places = [place for place in flight.action.places if place.side is side]
    leaving = [standing[cancel.order_id] for cancel in flight.action.cancels if cancel.order_id in standing]
    dearer = spent(side, places, state.spec) - spent(side, leaving, state.spec)
    return max(0, len(places) - len(leaving)), max(0, dearer)
