"""What outlives a process: taken out of the belief, and put into a new one (SPEC 4, restart = recovery).

Rules of this file
- Balances and orders are not remembered: the chain is read first, and says them.
- ``remember`` is given to a belief that has seen nothing yet; the first reading comes after it.
- A change of an earlier run whose bundle may still land is in flight again, under its old ticket: its wallet
  waits, and what it would place counts wherever placements under way count.
"""

from dataclasses import replace

from bmv.belief import Anchored, Belief
from bmv.config import HOUR_MS
from bmv.core.errands import credit
from bmv.core.ladder import Weights
from bmv.core.lattice import Lattice
from bmv.core.pivot import Seed
from bmv.core.state import InFlight, Market, State
from bmv.core.treasury import Memory
from bmv.events import AnyAction, Collect, Execute, Prepare, Remembered, Report, Settle
from bmv.model import Fill, Side
from bmv.units import Millis, notional


def belief_of(state: State) -> Belief:
    """Return the part of the belief that outlives the process."""
    market, flow, memory = state.market, state.flow, state.memory
    drawdown, pivot = state.guards.drawdown, state.market.capped_pivot
    return Belief(
        at=state.now,
        mark=state.mark,
        last_fine=market.tracker.confirmed_fine,
        unblended_fine=market.tracker.last_fine or 0,
        counted_from=market.tracker.counted_from,
        jump=market.tracker.jump,
        walked=market.tracker.walked,
        inertia_at=market.inertia.at,
        inertia_fine=market.inertia.price_fine,
        inertia_wide=market.inertia.wide,
        pivot_raw=pivot.raw_fine,
        pivot_at=pivot.at,
        pivot_wide=pivot.wide,
        density=market.density,
        lattices=_anchored(market),
        traded_at=market.presence.since,
        net_paid=flow.net_paid,
        net_paid_at=flow.net_paid_at,
        net_base=flow.net_base,
        baseline=flow.baseline,
        proceeds=flow.proceeds,
        gain=drawdown.gain,
        gain_mark=drawdown.mark,
        peaks=tuple(drawdown.peaks),
        cost_day=state.cost_day,
        cost_spent=state.cost_spent,
        cost_hour=state.cost_hour,
        cost_in_hour=state.cost_in_hour,
        usdc=memory.usdc,
        usdc_high=memory.high,
        onset=memory.onset,
        injecting=memory.injecting,
        asked_at=memory.asked_at,
        unshared=state.treasury.unshared,
        sol_recent=state.oracle.recent.known(state.now),
        sol_history=state.oracle.history.known(state.now),
    )


def _anchored(market: Market) -> tuple[Anchored, ...]:
    """Return the lattices as they lie: laid anew, none of what stands would be a point of them."""
    shapes = {side: weights.per_point for side, weights in market.weights.items() if weights is not None}
    return tuple(
        Anchored(int(side), lattice.anchor_fine, lattice.step, shapes.get(side))
        for side, lattice in market.lattices.items()
    )


def remember(state: State, event: Remembered) -> list[AnyAction]:
    """Begin with what was believed before; return what people should be told."""
    window = state.market.pivot
    window.started = min(window.started, int(event.first_start))
    for hour in event.hours:
        window.add_sum(int(hour.at), hour.notional, hour.volume, hour.own)
    window.recorded_from = min(window.recorded_from, int(event.recorded_from))
    state.market.imported = Seed(*event.seed)
    if event.belief is not None:
        _restore(state, event.belief)
        state.market.tracker.go_on(event.belief, event.trades)
    else:
        state.market.tracker.on_trades(event.trades)
    _know_dollars(state, event)
    baseline, net_base = state.flow.baseline, state.flow.net_base
    for fill in event.fills:
        _count(state, fill)
    if event.belief is not None and baseline not in {0, event.belief.baseline}:
        # What was bought before a baseline that was set while nothing ran does not count from it.
        state.flow.net_base = net_base
    for conversion in event.converted:
        credit(state, conversion.sol)
    for at, lamports in event.costs:
        state.spend(lamports, at)
        state.guards.drawdown.on_cost(lamports)
    for flight in event.flights:
        wallet = (
            flight.action.wallet if isinstance(flight.action, Execute | Prepare | Settle | Collect) else None
        )
        ticket = flight.action.ticket
        state.in_flight[ticket] = InFlight(ticket, flight.action, wallet, flight.sent_at, flight.landed)
    state.next_ticket = max(state.next_ticket, event.next_ticket)
    fields: dict[str, str | int] = {
        "trades_volume": window.own_share[1],
        "fills_since": len(event.fills),
        "in_flight": len(event.flights),
        "first_start": int(event.first_start),
    }
    return [Report("REMEMBERED", fields | ({"missing": event.missing} if event.missing else {}))]


def _restore(state: State, belief: Belief) -> None:
    market, flow, drawdown = state.market, state.flow, state.guards.drawdown
    market.inertia.at, market.inertia.price_fine = belief.inertia_at, belief.inertia_fine
    market.inertia.wide = belief.inertia_wide
    pivot = market.capped_pivot
    pivot.raw_fine, pivot.at, pivot.wide = belief.pivot_raw, belief.pivot_at, belief.pivot_wide
    market.density = belief.density
    for each in belief.lattices:
        side = Side(each.side)
        market.lattices[side] = Lattice(side, each.anchor_fine, each.step)
        market.weights[side] = None if each.per_point is None else Weights(each.per_point)
    market.presence.since = belief.traded_at or market.presence.since
    flow.net_paid, flow.net_paid_at, flow.proceeds = belief.net_paid, belief.net_paid_at, belief.proceeds
    if flow.baseline in {0, belief.baseline}:
        flow.net_base = belief.net_base
    drawdown.gain, drawdown.mark = belief.gain, belief.gain_mark
    drawdown.peaks.extend(belief.peaks)
    state.cost_day, state.cost_spent = belief.cost_day, belief.cost_spent
    state.cost_hour, state.cost_in_hour = belief.cost_hour, belief.cost_in_hour
    state.memory = Memory(belief.usdc, belief.usdc_high, belief.onset, belief.injecting, belief.asked_at)
    state.treasury = replace(state.treasury, unshared=belief.unshared)
    if belief.sol_recent is not None:
        # A restart in the middle of a fall of SOL must not end the damper.
        state.oracle.recent.add(belief.sol_recent[0], int(belief.sol_recent[1]))


def _know_dollars(state: State, event: Remembered) -> None:
    """Begin the long average of SOL/USD with whichever goes further back: prices by the hour, or a belief."""
    believed = event.belief.sol_history if event.belief else None
    hourly = event.sol_usd
    if believed and not (hourly and hourly[0][0] < believed[0] + Millis(HOUR_MS)):
        hourly = (believed,)
    for at, micros in hourly:
        state.oracle.history.add(at, int(micros))


def _count(state: State, fill: Fill) -> None:
    """Count a fill that was told after the belief was kept and before the process ended."""
    paid = notional(fill.price, fill.size, state.spec.quote_lot_size)
    state.flow.record(fill.side, fill.size, paid, fill.at)
    state.guards.drawdown.on_fill(fill, state.spec.quote_lot_size)
