"""What the ladder would come to if it were sent now: the diff, its cost, the room each side has.

A wallet whose accounts are not open yet is seen as it will be when they are, rents left aside, so that the
first ladder can be shown before anything was sent.
"""

import msgspec

from bmv.config import Settings
from bmv.core.cost import Estimate, estimate
from bmv.core.decay import FINE
from bmv.core.decide import decide
from bmv.core.limits import Approved
from bmv.core.plan import Plan, diff
from bmv.core.quoting import expected_tip, placeable
from bmv.core.rebuilding import price_fine, side_levels
from bmv.core.state import Phase, State
from bmv.core.tables import served
from bmv.events import MarketSeen
from bmv.model import Quote, Side, WalletView
from bmv.units import Lamports, Ticks


class SideRoom(msgspec.Struct, frozen=True):
    """A side's share of the levels, and the ticks of its zone where an order may stand now.

    Where there are fewer ``ticks`` than ``levels`` wanted, each tick gets one level.
    """

    side: Side
    levels: int
    ticks: int


def as_opened(state: State, settings: Settings) -> Approved:
    """Decide once more as if the accounts that are being opened were open; ``state`` is consumed."""
    state.in_flight.clear()
    for wallet, view in state.views.items():
        if not view.ready and wallet not in state.guards.aside:
            state.views[wallet] = _opened(view, settings)
    state.stirred = True
    seen = MarketSeen(
        at=state.now,
        slot=state.seen,
        book=state.book,
        queue_count=state.queue_count,
        own_pending=state.own_pending,
    )
    return decide(state, seen, settings)[1]


def _opened(view: WalletView, settings: Settings) -> WalletView:
    wrapped = max(Lamports(0), view.gas - settings.gas_floor)
    return msgspec.structs.replace(
        view, ready=True, gas=view.gas - wrapped, quote_held=view.quote_held + wrapped
    )


def whole_plan(state: State, settings: Settings) -> Plan:
    """Return the diff of the target with what stands, whatever is under way."""
    views = [view for _, view in sorted(state.views.items())]
    return diff(placeable(state), views, {}, settings, state.left_over_orders())


def plan_cost(plan: Plan, state: State, settings: Settings) -> Estimate:
    """Estimate what sending a plan costs with the tips of now."""
    return estimate(plan, expected_tip(state, settings), served(state))


def side_rooms(state: State, settings: Settings) -> tuple[SideRoom, ...]:
    """Return the room of both sides; none while there is no channel."""
    zones = state.market.channel
    if state.phase is Phase.STARTING or zones is None:
        return ()
    found = []
    for side in Side:
        lowest, highest = zones.standable(side, price_fine(state), state.book)
        low, high = zones.borders(side)
        ticks = min(highest, high // FINE) - max(lowest, -(-low // FINE)) + 1
        found.append(SideRoom(side, side_levels(state, settings, side), max(0, ticks)))
    return tuple(found)


def best(quotes: tuple[Quote, ...], side: Side) -> Ticks | None:
    """Return the best price of a side."""
    prices = [quote.price for quote in quotes if quote.side is side]
    return (max if side is Side.BID else min)(prices, default=None)
