"""The engine's one decision: (state, event, settings) -> (state, actions). Pure.

Order of thought
1. absorb: the event becomes belief (``absorb.py``; new settings: ``reconfiguring.py``).
2. price: P, pivot and channel follow (``quoting.py``).
3. act by phase: open accounts (``opening.py``), quote, or halt.
Whatever is asked for then passes ``limits.approve``.
"""

from bmv.config import Settings
from bmv.core.absorb import absorb
from bmv.core.halting import halting
from bmv.core.limits import Approved, approve
from bmv.core.opening import starting
from bmv.core.quoting import quoting
from bmv.core.reconfiguring import reconfigure
from bmv.core.remembering import remember
from bmv.core.state import InFlight, Phase, State
from bmv.events import (
    AnyAction,
    AnyEvent,
    BundleResolved,
    Collect,
    ConfigChanged,
    Crank,
    Execute,
    Prepare,
    Remembered,
    RentAction,
    Retire,
    Settle,
    TableAction,
    TreasuryAction,
)
from bmv.model import Outcome


def decide(state: State, event: AnyEvent, settings: Settings) -> tuple[State, Approved]:
    """Fold ``event`` into ``state`` and return what to do about it.

    ``state`` is consumed; ``settings`` are those that hold from the event on. Raises OwnCross (a bug was
    caught before anything was sent).
    """
    actions: list[AnyAction] = absorb(state, event, settings)
    if isinstance(event, ConfigChanged):
        actions += reconfigure(state, event, settings)
    elif isinstance(event, Remembered):
        actions += remember(state, event)
    if _failed(event):
        # Not answered at once: what fails for want of a node would fail again in the same instant, for ever.
        # The next tick or reading tries again.
        return state, approve(actions, state, settings)
    if state.phase is Phase.STARTING:
        actions += starting(state, settings)
    if state.phase is Phase.QUOTING:
        actions += quoting(state, event, settings)
    elif state.phase is Phase.HALTING:
        actions += halting(state, settings)
    approved = approve(actions, state, settings)
    _remember(state, approved)
    return state, approved


def _failed(event: AnyEvent) -> bool:
    return isinstance(event, BundleResolved) and event.outcome is not Outcome.LANDED


def _remember(state: State, approved: Approved) -> None:
    """Put what is about to be sent in flight."""
    for action in approved.actions:
        if isinstance(action, Execute | Prepare | Settle | Retire):
            state.in_flight[action.ticket] = InFlight(action.ticket, action, action.wallet, state.now)
            if isinstance(action, Execute) and action.places:
                state.guards.failures.probed_at = state.now
        elif isinstance(action, Crank | TableAction | RentAction | TreasuryAction):
            wallet = action.wallet if isinstance(action, Collect) else None
            state.in_flight[action.ticket] = InFlight(action.ticket, action, wallet, state.now)
            if isinstance(action, Crank):
                state.cranked_at = state.now
