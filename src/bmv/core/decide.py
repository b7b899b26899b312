"""The engine's one decision: (state, event, settings) -> (state, actions). Pure.

Order of thought
1. absorb: the event becomes belief (``absorb.py``; new settings: ``reconfiguring.py``).
2. price: P, pivot and channel follow (``quoting.py``).
3. act by phase: open accounts, quote, or halt (here).
Whatever is asked for then passes ``limits.approve``.
"""

from bmv.config import Settings
from bmv.core.absorb import absorb
from bmv.core.halting import halting
from bmv.core.limits import Approved, approve
from bmv.core.quoting import quoting
from bmv.core.reconfiguring import reconfigure
from bmv.core.state import InFlight, Phase, State
from bmv.events import (
    AnyAction,
    AnyEvent,
    BundleResolved,
    ConfigChanged,
    Crank,
    Execute,
    Prepare,
    Report,
    Settle,
)
from bmv.model import Outcome
from bmv.units import Lamports


def decide(state: State, event: AnyEvent, settings: Settings) -> tuple[State, Approved]:
    """Fold ``event`` into ``state`` and return what to do about it.

    ``state`` is consumed; ``settings`` are those that hold from the event on. Raises OwnCross (a bug was
    caught before anything was sent).
    """
    actions: list[AnyAction] = absorb(state, event, settings)
    if isinstance(event, ConfigChanged):
        actions += reconfigure(state, event, settings)
    if _failed(event):
        # Not answered at once: what fails for want of a node would fail again in the same instant, for ever.
        # The next tick or reading tries again.
        return state, approve(actions, state, settings)
    if state.phase is Phase.STARTING:
        actions += _starting(state, settings)
    if state.phase is Phase.QUOTING:
        actions += quoting(state, event, settings)
    elif state.phase is Phase.HALTING and state.feed_up:
        actions += halting(state)
    approved = approve(actions, state, settings)
    _remember(state, approved)
    return state, approved


def _failed(event: AnyEvent) -> bool:
    return isinstance(event, BundleResolved) and event.outcome is not Outcome.LANDED


def _starting(state: State, settings: Settings) -> list[AnyAction]:
    """Open what is missing; once every wallet is ready, quote."""
    if not state.feed_up or len(state.views) < state.wallet_count:
        return []
    busy = state.busy()
    actions: list[AnyAction] = []
    for wallet, view in sorted(state.views.items()):
        if not view.ready and wallet not in busy:
            wrap = max(Lamports(0), view.gas - settings.gas_floor)
            actions.append(Prepare(state.take_ticket(), wallet, wrap))
    if not actions and all(view.ready for view in state.views.values()):
        state.phase = Phase.QUOTING
        adopted = sum(len(view.orders) for view in state.views.values())
        actions.append(Report("STARTED", {"wallets": state.wallet_count, "orders_found": adopted}))
    return actions


def _remember(state: State, approved: Approved) -> None:
    """Put what is about to be sent in flight."""
    for action in approved.actions:
        if isinstance(action, Execute | Prepare | Settle):
            state.in_flight[action.ticket] = InFlight(action.ticket, action, action.wallet, state.now)
        elif isinstance(action, Crank):
            state.in_flight[action.ticket] = InFlight(action.ticket, action, None, state.now)
            state.cranked_at = state.now
