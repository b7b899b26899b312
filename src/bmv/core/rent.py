"""Rent back: accounts of ours that nothing uses are emptied and closed (SPEC 3.9), a step at a time.

What there is comes with the readings alone, whoever left it: a crash, another tool, an earlier version.
``State.jobs`` says which step is under way, and until when the next one rests after a failure.

1. Orders that stand in a left-over OpenOrders account are withdrawn, also while halting, and while nothing
   may be placed.
2. What holds no order and waits for no crank is settled and closed, if that brings more than it costs.
3. At the end of a halt the wallets' own accounts are closed as well, if CLOSE_ACCOUNTS_AT_HALT says so.
"""

from collections.abc import Sequence

from bmv.config import Settings
from bmv.core.state import Job, State
from bmv.events import AnyAction, CloseAccounts, MarketSeen, Reclaim, RentAction, Report, Withdraw
from bmv.model import Leftover, WalletView
from bmv.units import BaseAtoms, Lamports, Slot

RENT = "rent"
CLOSING = "closing accounts"
MAX_ACCOUNTS = 5
"""Accounts that one bundle closes."""
MAX_CANCELS = 8
FEE = Lamports(5_000)
AGAIN_SLOTS = Slot(4)
REST_SLOTS = Slot(1_500)
"""After a step that came to nothing, about ten minutes."""
MOST_TRIES = 3


def rent_step(state: State, settings: Settings, *, closes: bool = True) -> list[RentAction]:
    """Return the next step of getting rent back, if one is due; unless it ``closes``, only orders go."""
    job = state.jobs.get(RENT)
    if job and (job.ticket in state.in_flight or job.deadline > state.seen):
        return []
    action = _withdrawal(state) or (_reclaiming(state, settings) if closes else None)
    if action is None and not closes:
        return []
    if action is None:
        state.jobs.pop(RENT, None)
        return []
    step, subject = type(action).__name__, _subject(action)
    if job and (job.step, job.subject) == (step, subject):
        # The step was tried, and what it was for has not come about.
        state.jobs[RENT] = Job("resting", subject, 0, state.seen + REST_SLOTS)
        return []
    state.jobs[RENT] = Job(step, subject, action.ticket, Slot(0))
    return [action]


def withdrawals(state: State) -> list[RentAction]:
    """Return the next cancels of what left-over accounts have on the book, for a halt.

    Other orders follow at once; the same ones are withdrawn again after a few slots, as often as it takes.
    """
    job = state.jobs.get(RENT)
    if job and job.ticket in state.in_flight:
        return []
    action = _withdrawal(state)
    if action is None:
        return []
    step, subject = type(action).__name__, _subject(action)
    if job and (job.step, job.subject) == (step, subject) and job.deadline > state.slot:
        return []
    state.jobs[RENT] = Job(step, subject, action.ticket, state.slot + AGAIN_SLOTS)
    return [action]


def closings(state: State, settings: Settings) -> list[RentAction]:
    """Return what closes the wallets' own accounts at the end of a halt; each is tried a few times."""
    actions: list[RentAction] = []
    for wallet, view in sorted(state.views.items()):
        name = f"{CLOSING} {wallet}"
        tries = int(state.jobs[name].subject) if name in state.jobs else 0
        if stays_open(view, settings) and tries < MOST_TRIES:
            action = CloseAccounts(state.take_ticket(), wallet, view.base_held == BaseAtoms(0))
            state.jobs[name] = Job("closing", str(tries + 1), action.ticket, Slot(0))
            actions.append(action)
    return actions


def stays_open(view: WalletView, settings: Settings) -> bool:
    """Say whether a wallet's own accounts are still to be closed at the end of a halt."""
    return settings.close_accounts_at_halt != "off" and _closable(view)


def unsettled(view: WalletView) -> bool:
    """Say whether a wallet's OpenOrders account still holds funds."""
    held = view.quote_free + view.quote_locked, view.base_free + view.base_locked
    return held != (Lamports(0), BaseAtoms(0))


def tell_rent(state: State, event: MarketSeen) -> list[AnyAction]:
    """Take in the left-over accounts; tell what came back, as the chain shows it."""
    if event.leftovers is not None:
        state.leftovers = event.leftovers
    return [
        Report("RENT_RECLAIM", {"wallet": one.wallet, "lamports": int(one.lamports), "account": one.address})
        for one in event.reclaimed
    ]


def _withdrawal(state: State) -> Withdraw | None:
    for one in state.leftovers:
        if one.orders:
            return Withdraw(state.take_ticket(), one.wallet, one.address, one.orders[:MAX_CANCELS])
    return None


def _reclaiming(state: State, settings: Settings) -> Reclaim | None:
    """Return the closing of the first wallet's left-over accounts that is worth its tip."""
    if not state.leftovers:
        return None
    for wallet, view in sorted(state.views.items()):
        mine = [one for one in state.leftovers if one.wallet == wallet and _reclaimable(one, view)]
        chosen = mine[:MAX_ACCOUNTS]
        tip = settings.jito_tip if state.last_tip is None else state.last_tip
        if _worth(chosen) > tip + FEE * 2:
            return Reclaim(state.take_ticket(), wallet, tuple(chosen))
    return None


def _reclaimable(one: Leftover, view: WalletView) -> bool:
    """Say whether an account can be closed; what it holds needs token accounts that take it."""
    holds = (one.quote, one.base) != (Lamports(0), BaseAtoms(0))
    return one.idle and (not holds or (view.ready and not view.frozen))


def _worth(accounts: Sequence[Leftover]) -> Lamports:
    return sum((one.lamports + one.quote for one in accounts), Lamports(0))


def _closable(view: WalletView) -> bool:
    return view.ready and not view.frozen and not view.orders and not unsettled(view)


def _subject(action: Withdraw | Reclaim) -> str:
    if isinstance(action, Withdraw):
        return " ".join([action.account, *(str(order.order_id) for order in action.orders)])
    return " ".join(one.address for one in action.accounts)
