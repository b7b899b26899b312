"""What the treasury's wallet does, one thing at a time: gas, conversions, sharing out what they bought.

Rules of this file
- In this order: gas for wallets below half their floor; SOL that was bought, for the wallets, most for those
  with least; the next conversion that is due.
- Nothing is asked for while something of the treasury is in flight: its outcome is the chain's, and a
  conversion stays in flight until its transactions have told what it brought.
- What came to nothing is tried again after a minute, then two, up to four hours; a conversion that was never
  made does not use up the cooldown.
- To sell more SOL than the treasury has, it first collects what a wallet has free.
"""

from dataclasses import replace

from bmv.config import Settings
from bmv.core.conversion import shared_out
from bmv.core.failures import Backoff
from bmv.core.state import InFlight, State
from bmv.core.triggers import SOL_COLLECTED, SOL_SENT
from bmv.events import Action, AnyAction, Collect, Convert, Converted, Fund, Report, TreasuryAction
from bmv.model import Conversion, Direction, Share, WalletIndex, WalletView
from bmv.units import LAMPORTS_PER_SOL, Lamports, Millis

FIRST_REST = Millis(60_000)
LEAST_SHARE = Lamports(LAMPORTS_PER_SOL // 100)
"""Less is not worth a transaction."""
MOST_SHARES = 8
"""So many transfers of wrapped SOL fit a transaction."""


def errand(state: State, due: Conversion | None, settings: Settings) -> list[AnyAction]:
    """Return what the treasury does now: one action, or none; ``due`` is the conversion its rules ask for."""
    treasury = state.treasury
    flying = any(isinstance(flight.action, TreasuryAction) for flight in state.in_flight.values())
    resting = treasury.rest is not None and treasury.rest.until > state.now
    if not treasury.acts or flying or resting:
        return []
    gas = _gas(state, settings)
    if gas:
        return [Fund(state.take_ticket(), gas)]
    shares = _shares(state)
    if shares:
        return [Fund(state.take_ticket(), shares)]
    if due is None:
        return []
    missing = due.sol - treasury.sol
    if due.direction is Direction.BUY_SOL or missing <= Lamports(0):
        return [Convert(state.take_ticket(), due)]
    return _collected(state, missing)


def is_under_way(flight: InFlight) -> bool:
    """Say whether a flight that landed is a conversion of which nobody knows yet what it brought."""
    return isinstance(flight.action, Convert) and not flight.booked


def came_to_nothing(state: State) -> None:
    """Let the treasury rest after something of it has failed; the next conversion need not cool down."""
    rest = Backoff.after(state.treasury.rest, state.now, FIRST_REST)
    state.treasury = replace(state.treasury, rest=rest)
    state.memory = replace(state.memory, asked_at=None)


def carried_out(state: State, action: Action) -> None:
    """Note that something of the treasury was done and is seen."""
    if not isinstance(action, TreasuryAction):
        return
    state.treasury = replace(state.treasury, rest=None)
    if isinstance(action, Fund):
        sent = sum((share.lamports for share in action.shares if not share.is_gas), Lamports(0))
        if sent:
            left = max(Lamports(0), state.treasury.unshared - sent)
            state.treasury = replace(state.treasury, unshared=left)
            state.signal = state.signal or SOL_SENT
    elif isinstance(action, Collect):
        state.signal = state.signal or SOL_COLLECTED


def booked(state: State, event: Converted) -> list[AnyAction]:
    """Book what a conversion brought: it may leave flight, what it bought is to be shared out."""
    flight = state.in_flight.get(event.ticket)
    if flight is None or not isinstance(flight.action, Convert):
        return []
    flight.booked = True
    conversion = flight.action.conversion
    credit(state, event.sol)
    fields: dict[str, str | int] = {
        "usdc": abs(int(event.usdc)),
        "sol": abs(int(event.sol)),
        "rule": conversion.rule,
        "proven": int(event.proven),
    }
    name = "FIAT_INJECTION" if conversion.direction is Direction.BUY_SOL else "FIAT_RESERVE"
    return [Report(name, fields)]


def credit(state: State, sol: Lamports) -> None:
    """Note what a conversion brought: SOL to be shared out, or (negative) proceeds of sales now converted."""
    if sol > Lamports(0):
        state.treasury = replace(state.treasury, unshared=state.treasury.unshared + sol)
    else:
        state.flow.proceeds = max(Lamports(0), state.flow.proceeds + sol)


def due_report(conversion: Conversion) -> Report:
    """Return what is told of a conversion that is due."""
    fields: dict[str, str | int] = {
        "rule": conversion.rule,
        "direction": conversion.direction,
        "usdc": int(conversion.usdc),
        "sol": int(conversion.sol),
        "why": conversion.why,
    }
    return Report("CONVERSION_DUE", fields)


def _gas(state: State, settings: Settings) -> tuple[Share, ...]:
    """Return what brings wallets below half their gas floor back to it, as far as the treasury's SOL goes."""
    left, floor = state.treasury.sol, settings.gas_floor
    shares: list[Share] = []
    for wallet, view in sorted(state.views.items()):
        lacking = min(floor - view.gas, left)
        if view.gas * 2 < floor and lacking >= LEAST_SHARE and not state.leaves(wallet):
            shares.append(Share(wallet, lacking, is_gas=True))
            left -= lacking
    return tuple(shares[:MOST_SHARES])


def _shares(state: State) -> tuple[Share, ...]:
    """Return how the SOL that was bought goes to the wallets: to each in proportion to what it has less."""
    amount = min(state.treasury.unshared, state.treasury.sol)
    wallets = state.ready_wallets()
    if amount < LEAST_SHARE or not wallets:
        return ()
    held = {wallet: state.views[wallet].quote_total for wallet in wallets}
    richest = max(held.values())
    poorest = sorted(wallets, key=lambda wallet: (held[wallet], wallet))[:MOST_SHARES]
    lots = shared_out(amount, [richest - held[wallet] for wallet in poorest])
    return tuple(Share(wallet, lot) for wallet, lot in zip(poorest, lots, strict=True) if lot)


def _collected(state: State, missing: Lamports) -> list[AnyAction]:
    """Return the transfer from the wallet with most SOL free, of those that nothing is under way for."""
    busy = state.busy()
    free = {wallet: _free(state.views[wallet]) for wallet in state.ready_wallets() if wallet not in busy}
    richest: WalletIndex | None = max(free, key=lambda wallet: (free[wallet], -wallet), default=None)
    if richest is None or free[richest] < LEAST_SHARE:
        return []
    return [Collect(state.take_ticket(), richest, min(missing, free[richest]))]


def _free(view: WalletView) -> Lamports:
    return view.quote_held + view.quote_free
