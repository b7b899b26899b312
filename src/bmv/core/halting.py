"""Stop: cancel everything, free what is pending, settle, verify on the chain, finish.

Each reading of the chain shows what is left, and the next step follows from that alone, so a lost bundle or a
restart in the middle changes nothing. Nobody waits to hear what became of a cancel: a round of new ones, for
all that stands, goes out in every slot, since cancelling twice costs a tip and no more. Cranks and
settlements are asked for again after a moment too.

The engine is done when nothing is in flight any more, and a reading made after that shows no order, nothing
locked and nothing unsettled. Placements that another engine may have sent (``Halt.alone``) are waited for
until the chain's clock has passed what they can live to. After a hand-over (``Halt.hand_over``) the orders
are somebody else's: nothing more is sent.

While the chain cannot be read, what was last known to stand is withdrawn; nothing is called empty then. Funds
of a frozen token account stay where they are: no instruction moves them, and the end is not clean. At last
the accounts themselves are closed, where that is wanted.

Orders are withdrawn for as long as there are any. Once none is left, what remains costs nobody anything:
where cranks, settlements and closings come to nothing for ``SETTLING_PATIENCE``, the engine ends all the
same, not clean, and tells what is left with each wallet.
"""

from collections.abc import Iterator

from bmv.config import Settings
from bmv.core.congestion import fitting
from bmv.core.plan import WalletPlan, cancel_of
from bmv.core.rent import closings, stays_open, unsettled, withdrawals
from bmv.core.state import Phase, State
from bmv.events import (
    AnyAction,
    Crank,
    Execute,
    Finish,
    Prepare,
    RentAction,
    Report,
    Settle,
    TableAction,
    TreasuryAction,
)
from bmv.model import Cancel, WalletIndex
from bmv.units import Millis, Slot

MAX_CANCELS = 32
SLOT_MS = Millis(400)
"""A slot counts as over after this long, also where nobody tells of the next one."""
URGENT_ROUNDS, LATE_SLOTS = 100, Slot(5)
"""So many rounds of cancels go out slot after slot; where none landed, one every few slots will do."""
AGAIN_AFTER = Millis(2_400)
"""A crank or a settlement is asked for again when it was not seen to land in this time."""
PLAIN_FROM, PLAIN_EVERY = 8, 4
"""The first round of cancels that goes to the node too, and how many rounds later the next one does."""
PLAIN_CANCELS = 16
SETTLING_PATIENCE = Millis(600_000)
STRANGERS_LIVE_S = 45 + 15
"""The longest MAX_ORDER_AGE, and by how much somebody's idea of the chain's clock may be ahead of it."""


def halting(state: State, settings: Settings) -> list[AnyAction]:
    """Return the next step towards an empty book."""
    if state.halt.hand_over:
        return [] if state.in_flight else _finish(state, clean=False)
    _note_strangers(state)
    actions: list[AnyAction] = [*withdrawals(state)]
    if any(view.orders for view in state.views.values()):
        state.halt.left = ()
        return actions + (_round(state, settings) if _round_is_due(state) else [])
    # What was never read cannot be called empty.
    left_over = any(one.orders for one in state.leftovers)
    if left_over or len(state.views) < state.wallet_count or not state.feed_up:
        return actions
    if not state.halt.cancelled:
        state.halt.cancelled = True
        fields: dict[str, str | int] = {"slots": max(0, int(state.seen - state.halt.since))}
        actions.append(Report("HALT_CANCELLED", fields))
    return actions if state.flying_places() else actions + _after_cancels(state, settings)


def _settles_no_more(state: State) -> bool:
    """Say whether for long nothing has landed and nothing become less, while no order of ours stands."""
    halt, views = state.halt, state.views.values()
    landed = state.guards.failures.landed_at
    left = landed, state.own_pending, *((view.quote_free, view.base_free) for view in views)
    if left != halt.left:
        halt.left, halt.left_since = left, state.now
    return state.now - halt.left_since >= SETTLING_PATIENCE


def _round_is_due(state: State) -> bool:
    halt = state.halt
    pause = 1 if halt.round < URGENT_ROUNDS else int(LATE_SLOTS)
    return not halt.round or state.slot >= halt.slot + Slot(pause) or state.now - halt.at >= SLOT_MS * pause


def _round(state: State, settings: Settings) -> list[AnyAction]:
    """Return new cancels for every order that stands, whether others fly for it or not."""
    halt = state.halt
    changes = [
        WalletPlan(wallet, [cancel_of(order) for order in view.orders[start : start + MAX_CANCELS]])
        for wallet, view in sorted(state.views.items())
        for start in range(0, len(view.orders), MAX_CANCELS)
    ]
    fit = fitting(changes, state)
    if fit:
        halt.round, halt.slot, halt.at = halt.round + 1, state.slot, state.now
    actions: list[AnyAction] = [
        Execute(state.take_ticket(), change.wallet, tuple(change.cancels), (), halt.round) for change in fit
    ]
    late = halt.round - PLAIN_FROM
    if settings.kill_plain_rpc == "on" and fit and late >= 0 and late % PLAIN_EVERY == 0:
        actions += [
            Execute(state.take_ticket(), change.wallet, cancels, (), halt.round, plain=True)
            for change in fit
            for cancels in _few(change)
        ]
    if len(fit) < len(changes) and None not in _lately_asked(state):
        actions.append(Crank(state.take_ticket()))
    return actions


def _few(change: WalletPlan) -> Iterator[tuple[Cancel, ...]]:
    """Cut cancels into as many as fit a transaction however they are named."""
    for start in range(0, len(change.cancels), PLAIN_CANCELS):
        yield tuple(change.cancels[start : start + PLAIN_CANCELS])


def _after_cancels(state: State, settings: Settings) -> list[AnyAction]:
    if _settles_no_more(state):
        return [*_remains(state, settings), *_finish(state, clean=False)]
    asked = _lately_asked(state)
    if state.own_pending:
        return [] if None in asked else [Crank(state.take_ticket())]
    actions: list[AnyAction] = [
        Settle(state.take_ticket(), wallet)
        for wallet, view in sorted(state.views.items())
        if unsettled(view) and not view.frozen and wallet not in asked
    ]
    halt = state.halt
    if actions or state.in_flight or state.seen < halt.proof:
        return actions
    if halt.alone and (halt.strangers_until is None or state.chain_clock < halt.strangers_until):
        return []
    if closing := closings(state, settings):
        return [*closing]
    remains = _remains(state, settings)
    return [*remains, *_finish(state, clean=not remains)]


def _remains(state: State, settings: Settings) -> list[AnyAction]:
    """Tell, wallet by wallet, what was not settled, and the rent of what was to be closed and is not."""
    return [
        Report(
            "HALT_REMAINS",
            {
                "wallet": wallet,
                "orders": len(view.orders),
                "lamports": int(view.quote_free + view.quote_locked),
                "base_atoms": int(view.base_free + view.base_locked),
                "rent": int(view.rent) if stays_open(view, settings) else 0,
            },
        )
        for wallet, view in sorted(state.views.items())
        if unsettled(view) or view.orders or stays_open(view, settings)
    ]


def _finish(state: State, *, clean: bool) -> list[AnyAction]:
    state.phase, state.halt.clean = Phase.DONE, clean
    return [Finish(clean, state.halt_reason)]


def _lately_asked(state: State) -> set[WalletIndex | None]:
    """Return the wallets something else than cancels was asked for a moment ago; None: a crank."""
    return {
        flight.wallet
        for flight in state.in_flight.values()
        if not isinstance(flight.action, Execute | Prepare | TableAction | RentAction | TreasuryAction)
        and (flight.landed is not None or state.now - flight.sent_at < AGAIN_AFTER)
    }


def _note_strangers(state: State) -> None:
    halt = state.halt
    if halt.alone and halt.strangers_until is None and state.seen >= halt.proof:
        halt.strangers_until = state.chain_clock + STRANGERS_LIVE_S
