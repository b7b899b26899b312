"""The one choke point: every action is approved or refused here, with a reason.

``Approved`` can be made by ``approve`` alone; the dispatcher takes nothing else. The rules:
1. Halted, or the chain not seen for a while: nothing is placed. Cancels always pass.
2. Own-cross, over all wallets and over live + in-flight + approved placements: the highest bid stays below
   the lowest ask. This is checked again here although the plan already stages for it; a hit is a bug, so it
   raises ``OwnCross`` and nothing is sent.
3. A placement must not cross the foreign book (a post-only order would be dropped silently).
4. Funds: a wallet's placements cost no more than it holds free, cancels of the same change included.
5. Capacity: we never fill a side beyond what the book holds less the headroom left to others.
6. Cost: when the day's budget is spent, placements wait.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bmv.config import Settings
from bmv.core.allocation import cost
from bmv.core.plan import own_range
from bmv.core.state import Phase, State
from bmv.errors import OwnCross
from bmv.events import AnyAction, Execute
from bmv.model import Cancel, LiveOrder, Placement, Side, WalletView
from bmv.units import Millis

STALE_AFTER_MS = Millis(20_000)
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
    approved: list[AnyAction] = []
    refusals: list[Refusal] = []
    counts = _side_counts(state)
    for action in actions:
        if isinstance(action, Execute) and action.places:
            kept, refused = _screen(action, state, settings, counts)
            refusals += refused
            if kept or action.cancels:
                approved.append(Execute(action.ticket, action.wallet, action.cancels, tuple(kept)))
        else:
            approved.append(action)
    _never_meet(approved, state)
    return Approved(_SEAL, tuple(approved), tuple(refusals))


def _screen(
    action: Execute, state: State, settings: Settings, counts: dict[Side, int]
) -> tuple[list[Placement], list[Refusal]]:
    kept: list[Placement] = []
    refused: list[Refusal] = []
    purse = _free_funds(state.views[action.wallet], action.cancels, state)
    general = _general_refusal(state, settings)
    for place in action.places:
        reason = general or _book_refusal(place, state, settings, counts)
        price = cost(place.side, place.price, place.size, state.spec)
        if not reason and price > purse[place.side]:
            reason = "not enough free funds in the wallet"
        if reason:
            refused.append(Refusal(place, reason))
            continue
        purse[place.side] -= price
        counts[place.side] += 1
        kept.append(place)
    return kept, refused


def _general_refusal(state: State, settings: Settings) -> str:
    if state.phase is not Phase.QUOTING:
        return f"the engine is {state.phase.value}"
    if state.now - state.seen_at > STALE_AFTER_MS or not state.feed_up:
        return "the chain has not been seen lately"
    if state.cost_today(state.now) >= settings.daily_cost_budget:
        return "the day's cost budget is spent"
    return ""


def _book_refusal(place: Placement, state: State, settings: Settings, counts: dict[Side, int]) -> str:
    book = state.book
    if place.side is Side.BID and book.best_ask is not None and place.price >= book.best_ask:
        return "would cross a foreign ask"
    if place.side is Side.ASK and book.best_bid is not None and place.price <= book.best_bid:
        return "would cross a foreign bid"
    if counts[place.side] >= capacity(place.side, state, settings):
        return "the book has no room left beside the headroom for others"
    return ""


def capacity(side: Side, state: State, settings: Settings) -> int:
    """Return how many of our orders a side may hold: the book's size less the headroom left to others."""
    room = state.spec.bid_capacity if side is Side.BID else state.spec.ask_capacity
    foreign = state.book.bid_orders if side is Side.BID else state.book.ask_orders
    headroom = -(-room * int(settings.book_headroom) // 10_000)
    return room - max(headroom, foreign)


def _side_counts(state: State) -> dict[Side, int]:
    counts = {Side.BID: 0, Side.ASK: 0}
    for order in _standing(state):
        counts[order.side] += 1
    return counts


def _standing(state: State) -> list[LiveOrder | Placement]:
    live: list[LiveOrder | Placement] = [order for view in state.views.values() for order in view.orders]
    return live + state.flying_places()


def _free_funds(view: WalletView, cancels: Sequence[Cancel], state: State) -> dict[Side, int]:
    """Return what a wallet can spend per side; a cancel frees its funds within the same transaction."""
    spec = state.spec
    purse = {
        Side.BID: int(view.quote_held + view.quote_free),
        Side.ASK: int(view.base_held + view.base_free) // spec.base_lot_size,
    }
    leaving = {cancel.order_id for cancel in cancels}
    for order in view.orders:
        if order.order_id in leaving:
            purse[order.side] += cost(order.side, order.price, order.size, spec)
    return purse


def _never_meet(actions: Sequence[AnyAction], state: State) -> None:
    placed = [place for action in actions if isinstance(action, Execute) for place in action.places]
    if not placed:
        return
    span = own_range(_standing(state) + list(placed))
    if span.highest_bid is not None and span.lowest_ask is not None and span.highest_bid >= span.lowest_ask:
        raise OwnCross(f"own bid {span.highest_bid} would meet own ask {span.lowest_ask}; nothing was sent")
