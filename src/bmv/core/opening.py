"""Open what a wallet needs before it can quote: its accounts, and wrapped SOL for its bids.

SOL that an open wallet gets later is wrapped too, where it is worth a transaction.

The engine starts to quote when every wallet is open or set aside; one that can be used again later is opened
then.
"""

from bmv.config import Settings
from bmv.core.guarding import usable, wallets_judged
from bmv.core.state import Phase, State
from bmv.events import AnyAction, Prepare, Report
from bmv.model import WalletView
from bmv.units import LAMPORTS_PER_SOL, Lamports

LEAST_WRAP = Lamports(LAMPORTS_PER_SOL // 20)


def starting(state: State, settings: Settings) -> list[AnyAction]:
    """Open what is missing; once no wallet waits for it, quote."""
    if not state.feed_up or len(state.views) < state.wallet_count:
        return []
    actions = wallets_judged(state, settings)
    actions += opening(state, settings)
    waiting = [w for w, view in state.views.items() if not view.ready and w not in state.guards.aside]
    if not waiting and usable(state):
        state.phase = Phase.QUOTING
        adopted = sum(len(view.orders) for view in state.views.values())
        actions.append(Report("STARTED", {"wallets": state.wallet_count, "orders_found": adopted}))
    return actions


def opening(state: State, settings: Settings) -> list[AnyAction]:
    """Return what opens the accounts of wallets that are fit to quote but for these, and wraps their SOL."""
    least = max(LEAST_WRAP, Lamports(int(settings.gas_floor) // 4))
    due = [
        (wallet, view)
        for wallet, view in sorted(state.views.items())
        if not view.ready or _over(view, settings) >= least
    ]
    if not due:
        return []
    busy, aside = state.busy(), state.guards.aside
    return [
        Prepare(state.take_ticket(), wallet, _over(view, settings))
        for wallet, view in due
        if wallet not in busy and wallet not in aside
    ]


def _over(view: WalletView, settings: Settings) -> Lamports:
    """Return the plain SOL a wallet has above its gas floor."""
    return max(Lamports(0), view.gas - settings.gas_floor)
