"""Wallets that come and go while the engine runs (SPEC 3.5, 3.6): what each is to do, and how one leaves.

Numbers are never given twice: a new wallet gets the next one, one that has left keeps its own, empty. One
that rests or leaves is set aside (``guarding.py``): its orders are withdrawn, its levels go to the others.
One that leaves is emptied when nothing of it stands, waits or flies; only an empty one is gone. The wallet
that pays for the lookup tables waits for these to be closed, as their rent comes back to it.
"""

from collections.abc import Iterator

from bmv.core.state import State
from bmv.core.tables import PAYER
from bmv.events import AnyAction, Report, Retire, WalletDuty
from bmv.model import Duty, WalletView
from bmv.units import BaseAtoms, Lamports

RESTS = "the operator has set it aside"
LEAVES = "it is leaving"


def told(state: State, event: WalletDuty) -> list[AnyAction]:
    """Take over what the operator wants of a wallet."""
    wallet, before = event.wallet, state.duties.get(event.wallet, Duty.QUOTE)
    reports: list[AnyAction] = []
    if wallet >= state.wallet_count:
        state.wallet_count = wallet + 1
        reports.append(Report("WALLET_ADDED", {"wallet": wallet, "address": event.owner}))
    if before is Duty.GONE or event.duty is before:
        return reports
    state.duties[wallet] = event.duty
    state.stirred = True
    if event.duty is Duty.LEAVE:
        reports.append(Report("WALLET_LEAVING", {"wallet": wallet, "address": event.owner}))
    return reports


def leaving(state: State) -> list[AnyAction]:
    """Return what empties the wallets that leave, and tell of those that are gone."""
    return [*_leaving(state)] if state.duties else []


def _leaving(state: State) -> Iterator[AnyAction]:
    busy, heirs = state.busy(), state.ready_wallets()
    for wallet, duty in sorted(state.duties.items()):
        view = state.views.get(wallet)
        if duty is not Duty.LEAVE or view is None or wallet in busy:
            continue
        if _is_empty(view):
            state.duties[wallet] = Duty.GONE
            yield Report("WALLET_RETIRED", {"wallet": wallet})
        elif (
            heirs and state.treasury.acts and not _is_held_up(view) and not (wallet == PAYER and state.tables)
        ):
            heir = min(heirs, key=lambda other: (state.views[other].base_total, other))
            yield Retire(state.take_ticket(), wallet, heir)


def _is_empty(view: WalletView) -> bool:
    return not view.ready and view.gas + view.rent == Lamports(0)


def _is_held_up(view: WalletView) -> bool:
    """Say whether something of a wallet stands, waits for the crank, or cannot be moved."""
    locked = view.quote_locked != Lamports(0) or view.base_locked != BaseAtoms(0)
    return bool(view.orders) or locked or view.frozen
