"""The guards at work: after every pricing, decide which sides and which wallets may quote (SPEC 3.5 and 7).

What they hold back is kept in ``State.guards``: the ladder is built without it, ``limits`` refuses it, what
stands of it is withdrawn. Every change is told once.
"""

from bmv.config import Settings
from bmv.core.bands import price_limits
from bmv.core.drawdown import Stage
from bmv.core.kill import begin_halt
from bmv.core.limits import gas_reserve
from bmv.core.state import State
from bmv.core.swarm import LEAVES, RESTS
from bmv.events import AnyAction, Report
from bmv.model import SIDES, Duty, WalletView
from bmv.units import Lamports, atoms_to_lots

FROZEN = "its token account is frozen"
GAS = "its last gas is kept for its cancels"
EMPTY = "it holds nothing to quote with"
FAILING = "its changes fail again and again"
DRAWDOWN = "drawdown"
BAND = "price band"


def guarding(state: State, settings: Settings) -> list[AnyAction]:
    """Judge wallets, loss, failed cycles and price bands; needs a price. Return what people should know."""
    reports = wallets_judged(state, settings)
    reports += _drawdown_judged(state, settings)
    reports += _sides_judged(state, settings)
    if state.guards.failures.hopeless(settings):
        reports += begin_halt(state, "nothing that was sent has landed for FAILED_CYCLES_HALT")
    return reports


def usable(state: State) -> list[WalletView]:
    """Return the wallets that quote, in order."""
    return [state.views[wallet] for wallet in state.ready_wallets()]


def wallets_judged(state: State, settings: Settings) -> list[AnyAction]:
    """Set wallets aside that cannot quote, take back those that can again."""
    guards = state.guards
    reports: list[AnyAction] = []
    reserve = gas_reserve(settings)
    for wallet, view in sorted(state.views.items()):
        before, reason = guards.aside.get(wallet, ""), _unfit(view, state, reserve)
        if reason == before:
            continue
        if reason:
            guards.aside[wallet] = reason
            reports.append(Report("WALLET_SET_ASIDE", {"wallet": wallet, "reason": reason}))
        else:
            del guards.aside[wallet]
            reports.append(Report("WALLET_RETURNED", {"wallet": wallet, "reason": before}))
    return reports


def _unfit(view: WalletView, state: State, reserve: Lamports) -> str:
    """Return why a wallet cannot quote, '' if it can; ``reserve`` is the gas it keeps for its cancels."""
    duty = state.duties.get(view.wallet)
    if duty is not None and duty is not Duty.QUOTE:
        return RESTS if duty is Duty.REST else LEAVES
    rest = state.guards.failures.rests.get(view.wallet)
    if state.guards.aside.get(view.wallet) == GAS:
        # It comes back when it was topped up, not when a rebate or a closed account gives it a few lamports.
        reserve = reserve * 2
    if view.frozen:
        return FROZEN
    if view.gas < reserve:
        return GAS
    if rest is not None and rest.until > state.now:
        return FAILING
    lots = atoms_to_lots(view.base_total, state.spec.base_lot_size)
    if view.ready and not lots and int(view.quote_total) < state.spec.quote_lot_size:
        return EMPTY
    return ""


def _drawdown_judged(state: State, settings: Settings) -> list[AnyAction]:
    drawdown, bought = state.guards.drawdown, state.flow.net_base
    assert state.market.reading is not None
    lot = state.spec.quote_lot_size
    drawdown.on_price(state.market.reading.price_fine, bought, lot)
    sol = sum((view.quote_total + view.gas for view in state.views.values()), Lamports(0))
    lost = drawdown.lost_bps(state.now, sol, bought, lot, settings.drawdown_window)
    if not drawdown.judge(lost, bought, settings):
        return []
    state.market.presence.widened = drawdown.stage >= Stage.WIDEN
    reports: list[AnyAction] = [Report("DRAWDOWN", {"stage": drawdown.stage.name, "lost_bps": lost})]
    if drawdown.stage is Stage.HALT:
        reports += begin_halt(state, f"trading lost {lost} basis points (DRAWDOWN_HALT_%)")
        # Somebody looks and starts again: that run's count begins at zero, or it would halt at once.
        drawdown.peaks.clear()
    return reports


def _sides_judged(state: State, settings: Settings) -> list[AnyAction]:
    """Stop and release the sides of the ladder."""
    assert state.market.reading is not None
    guards, price, limits = state.guards, state.market.reading.price_fine, price_limits(state, settings)
    reports: list[AnyAction] = []
    for side in SIDES:
        before = guards.stopped.get(side, "")
        reason = BAND if limits.stops(side, price, stopped=before == BAND) else ""
        if guards.drawdown.stage >= Stage.ONE_SIDE and guards.drawdown.losing is side:
            reason = DRAWDOWN
        if reason == before:
            continue
        state.signal = state.signal or "a guard stopped or released a side"
        fields: dict[str, str | int] = {"side": side.name, "reason": reason or before, "price_fine": price}
        reports.append(Report("SIDE_STOPPED" if reason else "SIDE_RESUMED", fields))
        if reason:
            guards.stopped[side] = reason
        else:
            del guards.stopped[side]
    return reports
