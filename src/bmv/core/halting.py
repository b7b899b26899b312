"""Stop: cancel everything, free what is pending, settle, verify on the chain, finish.

Each reading of the chain shows what is left, and the next step follows from that alone: nothing is remembered
between steps, so a lost bundle or a restart in the middle changes nothing. The engine is done when a reading
shows no order, nothing locked and nothing unsettled, with nothing in flight that could still place an order.

While the chain cannot be read, what was last known to stand is withdrawn; nothing is called empty then. Funds
of a frozen token account stay where they are: no instruction moves them, and the end is not clean.
"""

from bmv.core.congestion import fitting
from bmv.core.plan import WalletPlan, cancel_of
from bmv.core.state import Phase, State
from bmv.events import AnyAction, Crank, Execute, Finish, Prepare, Settle, TableAction
from bmv.model import WalletView
from bmv.units import BaseAtoms, Lamports

MAX_CANCELS = 32


def halting(state: State) -> list[AnyAction]:
    """Return the next step towards an empty book."""
    actions: list[AnyAction] = []
    changes: list[WalletPlan] = []
    flying = {
        flight.wallet
        for flight in state.in_flight.values()
        if not isinstance(flight.action, Execute | Prepare | TableAction)
    }
    withdrawing = {
        cancel.order_id
        for flight in state.in_flight.values()
        if isinstance(flight.action, Execute)
        for cancel in flight.action.cancels
    }
    for wallet, view in sorted(state.views.items()):
        orders = [order for order in view.orders if order.order_id not in withdrawing][:MAX_CANCELS]
        if orders:
            changes.append(WalletPlan(wallet, [cancel_of(order) for order in orders]))
    sent = fitting(changes, state)
    actions += [Execute(state.take_ticket(), change.wallet, tuple(change.cancels), ()) for change in sent]
    if len(sent) < len(changes) and None not in flying:
        actions.append(Crank(state.take_ticket()))
    left = any(view.orders for view in state.views.values()) or state.flying_places()
    # What was never read cannot be called empty.
    if actions or left or len(state.views) < state.wallet_count or not state.feed_up:
        return actions
    return _after_cancels(state, flying)


def _after_cancels(state: State, flying: set[int | None]) -> list[AnyAction]:
    if state.own_pending:
        return [] if None in flying else [Crank(state.take_ticket())]
    actions: list[AnyAction] = [
        Settle(state.take_ticket(), wallet)
        for wallet, view in sorted(state.views.items())
        if unsettled(view) and not view.frozen and wallet not in flying
    ]
    if actions or state.in_flight:
        return actions
    state.phase = Phase.DONE
    clean = not any(unsettled(view) or view.orders for view in state.views.values())
    return [Finish(clean, state.halt_reason)]


def unsettled(view: WalletView) -> bool:
    """Say whether a wallet's OpenOrders account still holds funds."""
    held = view.quote_free + view.quote_locked, view.base_free + view.base_locked
    return held != (Lamports(0), BaseAtoms(0))
