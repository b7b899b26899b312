"""Keep an eye on the treasury: what its rules see in the state, what they remember, what they ask for.

Rules of this file
- Where the treasury can act, a conversion is asked for when it can be sent at once, and told then; where it
  cannot, what is due is told all the same.
"""

from bmv.config import Settings
from bmv.core.errands import due_report, errand
from bmv.core.state import State
from bmv.core.treasury import Position, Reserve, Situation, asked, next_conversion, sol_drop, step
from bmv.events import AnyAction, Convert, Report
from bmv.model import Conversion
from bmv.units import Lamports, lamports_worth


def watch_treasury(state: State, settings: Settings, *, may_act: bool = True) -> list[AnyAction]:
    """Bring the treasury's memory up to date; tell when the damper starts or ends, and what to convert.

    Nothing is converted before the oracle was heard once, and nothing sent unless it ``may_act``.
    """
    seen = situation(state, settings)
    if seen is None:
        return errand(state, None, settings) if may_act else []
    before, state.memory = state.memory, step(state.memory, seen, settings)
    reports: list[AnyAction] = []
    if (before.onset is None) != (state.memory.onset is None):
        name = "DAMPER_OFF" if state.memory.onset is None else "DAMPER_ON"
        reports.append(Report(name, {"drop_bps": int(seen.drop * 10_000), "usdc": int(seen.reserve.usdc)}))
    due = next_conversion(seen, state.memory, settings)
    if not isinstance(due, Conversion):
        return reports + (errand(state, None, settings) if may_act else [])
    actions = errand(state, due, settings) if may_act else []
    if not state.treasury.acts or any(isinstance(action, Convert) for action in actions):
        state.memory = asked(state.memory, state.now)
        reports.append(due_report(due))
    return reports + actions


def situation(state: State, settings: Settings) -> Situation | None:
    """Return what the treasury's rules look at; None before the oracle was heard once."""
    if state.oracle.sol_usd is None:
        return None
    views = state.views.values()
    floor = settings.gas_floor
    sol = sum((max(Lamports(0), view.gas - floor) + view.quote_total for view in views), state.treasury.sol)
    locked = sum((view.quote_locked for view in views), Lamports(0))
    reserve = Reserve(sol, locked, state.flow.proceeds, state.treasury.usdc, state.oracle.sol_usd)
    drop = sol_drop(state.oracle, state.now, settings)
    return Situation(state.now, state.oracle, reserve, _position(state), drop)


def treasury_worth(state: State) -> Lamports:
    """Return what the treasury holds beside the wallets, in lamports: USDC once the oracle was heard."""
    if state.oracle.sol_usd is None:
        return state.treasury.sol
    return state.treasury.sol + lamports_worth(state.treasury.usdc, state.oracle.sol_usd)


def _position(state: State) -> Position | None:
    market = state.market
    pivot = market.capped_pivot.value_fine
    if market.reading is None or market.channel is None or pivot is None:
        return None
    channel = market.channel
    return Position(market.reading.price_fine, pivot, channel.anchor, channel.buy_low, channel.sell_high)
