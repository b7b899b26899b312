"""What comes and goes beside the engine: deposits, withdrawals, ``bmv wallets fund``.

Rules of this file
- Fills and whoever cranks them touch OpenOrders accounts alone; what is plain (SOL, token accounts, rent)
  moves only by its owner's signature, or because somebody sends something.
- So where nothing but that has changed, and nothing of ours is in the air that could touch it, the engine has
  not done it and no fill is hidden in it: it was moved from outside, and is no profit.
- In any other reading nothing is judged. What was moved then stays a difference of the books, since it cannot
  be told from a mistake of theirs.
"""

from collections.abc import Iterable

import msgspec

from bmv.core.state import InFlight, State
from bmv.events import Execute, MarketSeen, Prepare, Report, Retire, Settle, TreasuryAction, TreasurySeen
from bmv.model import MarketSpec, WalletIndex, WalletView
from bmv.units import atoms_to_lots

TREASURY = "treasury"
_ALONE = Execute | Settle | Prepare
"""What touches the plain balances of its own wallet and of no other; that wallet pays for its bundle, or one
of the others in it does."""


def of_wallets(state: State, event: MarketSeen) -> dict[WalletIndex, Report]:
    """Return what a reading shows of transfers from outside, by wallet; ``state`` is that before it."""
    flights = state.in_flight.values()
    if any(flight.wallet is None or not isinstance(flight.action, _ALONE) for flight in flights):
        return {}
    busy = {flight.wallet for flight in flights} | {one.wallet for one in event.reclaimed}
    found = {}
    for view in event.wallets:
        before = state.views.get(view.wallet)
        if before is None or view.wallet in busy or not _is_plain(before, view):
            continue
        told = _of_wallet(before, view, state.spec)
        if told is not None:
            found[view.wallet] = told
    return found


def of_treasury(
    before: TreasurySeen | None, event: TreasurySeen, flights: Iterable[InFlight]
) -> list[Report]:
    """Return what moved in or out of the treasury that no action of ours can have moved."""
    if before is None or any(isinstance(flight.action, TreasuryAction | Retire) for flight in flights):
        return []
    lamports = int(event.sol + event.kept - before.sol - before.kept)
    told = _told(TREASURY, lamports=lamports, usdc=int(event.usdc - before.usdc))
    return [] if told is None else [told]


def _of_wallet(before: WalletView, after: WalletView, spec: MarketSpec) -> Report | None:
    lots = [int(atoms_to_lots(view.base_total, spec.base_lot_size)) for view in (before, after)]
    return _told(
        str(after.wallet),
        lamports=_sol(after) - _sol(before),
        base_atoms=int(after.base_held - before.base_held),
        size=lots[1] - lots[0],
    )


def _told(account: str, **moved: int) -> Report | None:
    amounts = {key: amount for key, amount in moved.items() if amount}
    if not amounts:
        return None
    left = any(amount < 0 for amount in amounts.values())
    return Report("WITHDRAWAL" if left else "DEPOSIT", {"account": account, **amounts})


def _sol(view: WalletView) -> int:
    return int(view.gas + view.rent + view.quote_held)


def _is_plain(before: WalletView, after: WalletView) -> bool:
    """Say whether plain balances alone have changed; a token account may have been opened for them."""
    same = msgspec.structs.replace(
        after,
        gas=before.gas,
        rent=before.rent,
        quote_held=before.quote_held,
        base_held=before.base_held,
        ready=before.ready,
    )
    return same == before
