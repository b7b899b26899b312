"""Room in what fills up without a crank: the market's event queue, and the order slots of our accounts.

A full event queue fails every cancel, bid and taker, ours included, until somebody cranks; a change is held
back while its events may not fit, and the crank goes first. Each order placed and each one withdrawn counts
as one event: a resting ask pushes none, but one that is dropped does. A wallet's gas, which only a top-up
fills, is told of here as well.
"""

from collections.abc import Sequence

from bmv.config import Settings
from bmv.core.limits import gas_reserve
from bmv.core.plan import WalletPlan
from bmv.core.state import State
from bmv.events import AnyAction, Execute, MarketSeen, Report
from bmv.model import WalletView

LOW_SLOTS = 40
"""With fewer free order slots than this a wallet wants a crank soon."""
TIGHT_SHARE = 16
"""The queue is told to be full when less than this part (1/16) of it is free."""


def queue_room(state: State) -> int:
    """Return how many more events the queue takes, with everything that flies already in it."""
    return state.spec.event_capacity - state.queue_count - len(_leaving(state)) - len(state.flying_places())


def _leaving(state: State) -> set[int]:
    """Return the orders whose cancels fly; however many fly for one, it leaves once."""
    return {
        cancel.order_id
        for flight in state.in_flight.values()
        if isinstance(flight.action, Execute)
        for cancel in flight.action.cancels
    }


def fitting(changes: Sequence[WalletPlan], state: State) -> list[WalletPlan]:
    """Return the changes whose events fit the queue, in order; the others come after the next crank."""
    room, leaving = queue_room(state), _leaving(state)
    kept = []
    for change in changes:
        new = sum(cancel.order_id not in leaving for cancel in change.cancels)
        needed = new + len(change.places)
        if needed <= room:
            room -= needed
            kept.append(change)
    return kept


def is_crowded(state: State) -> bool:
    """Say whether the queue should be cranked for its own sake."""
    return state.queue_count * 2 >= state.spec.event_capacity


def tell_queue(state: State, event: MarketSeen) -> list[AnyAction]:
    """Tell when the queue becomes full; call it before ``state`` is brought up to date."""
    capacity = state.spec.event_capacity
    if _is_tight(event.queue_count, capacity) and not _is_tight(state.queue_count, capacity):
        return [Report("EVENT_QUEUE_FULL", {"events": event.queue_count, "capacity": capacity})]
    return []


def tell_slots(before: WalletView | None, view: WalletView) -> list[AnyAction]:
    """Tell when a wallet's free order slots run low: orders that are gone keep theirs until the crank."""
    if view.order_slots >= LOW_SLOTS or (before is not None and before.order_slots < LOW_SLOTS):
        return []
    return [Report("WALLET_SLOTS_LOW", {"wallet": view.wallet, "free": view.order_slots})]


def _is_tight(count: int, capacity: int) -> bool:
    return (capacity - count) * TIGHT_SHARE < capacity


def tell_gas(before: WalletView | None, view: WalletView, settings: Settings) -> list[AnyAction]:
    """Tell once when a wallet's plain SOL falls below what its cancels need: it places nothing now."""
    reserve = gas_reserve(settings)
    if view.gas >= reserve or (before is not None and before.gas < reserve):
        return []
    return [Report("WALLET_LOW_GAS", {"wallet": view.wallet, "lamports": int(view.gas)})]
