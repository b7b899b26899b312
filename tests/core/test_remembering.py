"""What outlives a process comes back as it was, what came after is counted once, what flies still flies."""

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.belief import Anchored, Belief, QueueMark, TradeSum
from bmv.config import HOUR_MS, Settings
from bmv.core.decay import FINE
from bmv.core.decide import decide
from bmv.core.pivot import Seed
from bmv.core.rebuilding import fresh_lattice
from bmv.core.remembering import belief_of
from bmv.core.state import State, new_state
from bmv.core.treasury import sol_drop
from bmv.events import Converted, Execute, Flight, Remembered
from bmv.model import Cancel, Fill, ForeignBook, Placement, Side, Trade
from bmv.services.recollection import Recollection
from bmv.units import BaseLots, Bps, Lamports, MicroUsd, Millis, Slot, Ticks, UsdPerSol
from tests.core.belongings import QUOTE_LOT, START, later, market, settings
from tests.core.desk import Desk, P, quoting

BELIEF = Belief(
    at=later(1),
    mark=QueueMark(Slot(5), 70, (8,)),
    last_fine=P * FINE + 11,
    unblended_fine=P * FINE + 10,
    counted_from=40,
    jump=(2 * P * FINE, 41),
    walked=((42, 43),),
    inertia_at=later(12),
    inertia_fine=P * FINE + 13,
    inertia_wide=14,
    pivot_raw=P * FINE + 15,
    pivot_at=16,
    pivot_wide=17,
    density=Bps(40_000),
    lattices=(Anchored(0, P * FINE, 44, 45), Anchored(1, P * FINE + 46, 47)),
    traded_at=later(-18),
    net_paid=19,
    net_paid_at=later(20),
    net_base=BaseLots(21),
    baseline=2,
    proceeds=Lamports(23),
    gain=24,
    gain_mark=P * FINE,
    peaks=((26, 28), (27, 25)),
    cost_day=29,
    cost_spent=Lamports(30),
    cost_hour=48,
    cost_in_hour=Lamports(49),
    usdc=MicroUsd(31),
    usdc_high=MicroUsd(32),
    onset=MicroUsd(33),
    injecting=True,
    asked_at=later(34),
    unshared=Lamports(35),
    sol_recent=(later(-36), MicroUsd(37)),
    sol_history=(later(-38), MicroUsd(39)),
)
"""Every field another value than a new engine's."""


def desk(**fields: object) -> Desk:
    """Return a desk whose engine has begun with what was remembered."""
    found = Desk()
    found.state.flow.baseline = BELIEF.baseline
    remembered = Remembered(at=START, first_start=later(-9), recorded_from=later(-8))
    found.happen(msgspec.structs.replace(remembered, **fields))
    return found


def traded(seq: int, price: int = P, size: int = 1) -> Trade:
    return Trade(seq, later(seq), Ticks(price), BaseLots(size), Side.BID, False)


def fill(side: Side, price: int, size: int, ms: int = 30) -> Fill:
    sizes = Ticks(price), BaseLots(size)
    return Fill(90 + ms, later(ms), 0, side, *sizes, True, Lamports(7), Lamports(2), 1, 1)


def test_the_values_differ_from_a_new_engine_s_so_that_none_is_missed() -> None:
    fresh = msgspec.structs.asdict(belief_of(new_state(market(), 2, START)))
    held = msgspec.structs.asdict(BELIEF)
    assert [name for name in held if held[name] == fresh[name]] == []


def test_everything_believed_comes_back() -> None:
    begun = desk(belief=BELIEF, trades=(traded(40),))
    # When it is kept and how far the chain was read are the new run's own.
    expected = msgspec.structs.replace(BELIEF, at=begun.state.now, mark=None)
    assert belief_of(begun.state) == expected


def test_a_restart_while_sol_falls_does_not_end_the_damper() -> None:
    day = 86_400_000
    before = new_state(market(), 2, START)
    for hour in range(30):
        before.oracle.on_price(later(hour * HOUR_MS), UsdPerSol(150_000_000))
    before.now = later(30 * HOUR_MS)
    before.oracle.on_price(before.now, UsdPerSol(120_000_000))
    # Asking what is known forgets nothing, though nobody has asked for the long average yet.
    assert [before.oracle.history.known(later(hour * HOUR_MS)) for hour in (30, 30)] == [
        (START, MicroUsd(150_000_000))
    ] * 2
    assert before.oracle.recent.exact(before.now, Millis(day)) is not None
    known = before.oracle.recent.known(before.now)
    assert known is not None
    assert known[0] == before.now - Millis(day)
    begun = new_state(market(), 2, START)
    chosen = Settings()
    decide(
        begun,
        Remembered(at=before.now, first_start=START, recorded_from=START, belief=belief_of(before)),
        chosen,
    )
    began = later(31 * HOUR_MS)
    begun.oracle.on_price(began, UsdPerSol(120_000_000))
    before.oracle.on_price(began, UsdPerSol(120_000_000))
    drops = [sol_drop(state.oracle, began, chosen) for state in (before, begun)]
    # While nothing was told the average counts, so the hour between is the only difference.
    assert Fraction(15, 100) < drops[0] < drops[1] <= Fraction(2, 10)


def test_what_was_told_after_the_belief_is_counted_once_more_on_top_of_it() -> None:
    bid, ask = fill(Side.BID, P - 10, 300), fill(Side.ASK, P + 20, 500)
    begun = desk(belief=BELIEF, fills=(bid, ask), costs=((later(40), Lamports(5_000)),)).state
    assert begun.flow.net_base == BELIEF.net_base + BaseLots(300) - BaseLots(500)
    assert begun.flow.proceeds == BELIEF.proceeds + Lamports((P + 20) * 500 * QUOTE_LOT)
    # Each traded at a price better than P, and has its rebate; the bundle has cost.
    earned = (10 * 300 + 20 * 500) * QUOTE_LOT + 2 * (7 - 2) - 5_000
    assert begun.guards.drawdown.gain == BELIEF.gain + earned * FINE
    assert begun.cost_spent == Lamports(5_000)


def test_what_was_converted_after_the_belief_counts_too() -> None:
    bought = Converted(at=later(40), ticket=1, sol=Lamports(100), usdc=MicroUsd(-9), slot=Slot(4))
    sold = Converted(at=later(41), ticket=2, sol=Lamports(-3), usdc=MicroUsd(5), slot=Slot(4))
    state = desk(belief=BELIEF, converted=(bought, sold)).state
    assert state.treasury.unshared == BELIEF.unshared + Lamports(100)
    assert state.flow.proceeds == BELIEF.proceeds - Lamports(3)


def test_without_a_belief_the_fills_are_all_there_is() -> None:
    begun = Desk()
    sold = fill(Side.ASK, P, 40)
    begun.happen(Remembered(at=START, first_start=START, recorded_from=START, fills=(sold,)))
    assert begun.state.flow.net_base == BaseLots(-40)


def test_what_was_bought_before_a_newer_baseline_does_not_count_from_it() -> None:
    begun = Desk()
    begun.state.flow.baseline, begun.state.flow.net_base = BELIEF.baseline + 1, BaseLots(3)
    bought = fill(Side.BID, P, 40)
    remembered = Remembered(at=START, first_start=START, recorded_from=START, belief=BELIEF, fills=(bought,))
    begun.happen(remembered)
    assert begun.state.flow.net_base == BaseLots(3)


def test_the_pivot_s_window_goes_on_from_the_hours_of_all_runs() -> None:
    hours = (TradeSum(later(-7_200_000), 4 * P, 4, 1), TradeSum(later(-3_600_000), 6 * (P + 100), 6, 2))
    begun = desk(hours=hours)
    window = begun.state.market.pivot
    assert window.own_share == (3, 10)
    assert (window.started, window.recorded_from) == (int(later(-9)), int(later(-7_200_000)))
    begun.see(P, size=10)
    assert belief_of(begun.state).pivot_raw == (4 * P + 6 * (P + 100) + 10 * P) * FINE // 20
    (report,) = [each for each in begun.reports if each.name == "REMEMBERED"]
    assert (report.fields["trades_volume"], report.fields["first_start"]) == (10, int(later(-9)))
    assert "missing" not in report.fields


def test_hours_without_a_trade_were_recorded_too() -> None:
    assert desk().state.market.pivot.recorded_from == int(later(-8))


def test_what_could_not_be_found_again_is_told() -> None:
    (report,) = [each for each in desk(missing="the journal").reports if each.name == "REMEMBERED"]
    assert report.fields["missing"] == "the journal"


@pytest.mark.parametrize("next_ticket", [8, 50])
def test_a_wallet_whose_change_may_still_land_waits_for_its_outcome(next_ticket: int) -> None:
    action = Execute(
        7,
        0,
        (Cancel(0, Side.BID, Ticks(P - 60), 77, 2),),
        (Placement(0, Side.BID, 1, Ticks(P - 50), BaseLots(5), 1),),
    )
    begun = desk(flights=(Flight(action, later(-100)),), next_ticket=next_ticket)
    assert begun.state.in_flight[7].sent_at == later(-100)
    begun.see(P)
    assert {execute.wallet for execute in begun.done} == {1}
    assert min(execute.ticket for execute in begun.done) >= next_ticket
    begun.resolve(7)
    begun.settle_down()
    assert {execute.wallet for execute in begun.done} == {0, 1}


def test_an_imported_seed_stands_beside_the_trades_until_it_has_faded() -> None:
    begun = desk(seed=(P * FINE, 1_000))
    assert begun.state.market.imported == Seed(P * FINE, 1_000)


def test_the_long_average_of_sol_begins_with_whichever_goes_further_back() -> None:
    hourly = tuple((later((hour - 50) * HOUR_MS), MicroUsd(100 + hour)) for hour in range(50))
    for belief_from, expected in ((-10, 100), (-90, 39)):
        belief = msgspec.structs.replace(BELIEF, sol_history=(later(belief_from * HOUR_MS), MicroUsd(39)))
        history = desk(belief=belief, sol_usd=hourly).state.oracle.history
        first = history.known(later(-49 * HOUR_MS))
        assert first is not None
        assert (int(first[1]) == 39) == (expected == 39)
    alone = desk(sol_usd=hourly).state.oracle.history.value(START, Millis(50 * HOUR_MS))
    assert alone == sum(range(100, 150)) // 50


STEPS = st.tuples(st.integers(-400, 400), st.integers(1, 300_000), st.integers(0, 3 * HOUR_MS))


@given(st.lists(STEPS, min_size=1, max_size=30), st.integers(0, 30))
def test_p_is_the_same_after_a_restart_wherever_the_belief_was_kept(
    steps: list[tuple[int, int, int]], kept: int
) -> None:
    chosen, now, whole = Settings(), START, new_state(market(), 1, START)
    trades: list[Trade] = []
    belief = belief_of(whole)

    def price(state: State) -> object:
        return state.market.tracker.reading(now, ForeignBook(), chosen, walk=1, pivot_fine=P * FINE)

    for number, (move, size, gap) in enumerate(steps):
        now += Millis(gap)
        trades.append(Trade(number, now, Ticks(P + 10 * move), BaseLots(size), Side.BID, False))
        whole.market.tracker.on_trades(trades[-1:])
        if number <= kept:
            price(whole)
            belief = belief_of(whole)
    begun = new_state(market(), 1, START)
    found = Recollection("market", (), START)
    found.trades = list(trades[: kept + 1])
    found.keep(belief)
    found.trades += trades[kept + 1 :]
    decide(begun, found.event(now), chosen)
    for gap in (0, HOUR_MS, 4 * HOUR_MS, 2 * HOUR_MS):
        now += Millis(gap)
        assert price(begun) == price(whole)


def test_where_the_trades_are_gone_p_is_the_price_that_was_believed() -> None:
    begun = desk(belief=BELIEF, trades=(traded(41),))
    assert begun.state.market.tracker.last_fine == BELIEF.last_fine


def test_a_restart_leaves_the_ladder_on_its_lattices() -> None:
    before = quoting()
    belief = belief_of(before.state)
    before.settle_down(P * 1_005 // 1_000)
    begun = Desk()
    begun.happen(Remembered(at=START, first_start=START, recorded_from=START, belief=belief))
    begun.see(P * 1_005 // 1_000)
    assert begun.state.market.lattices == before.state.market.lattices
    wanted = {quote.price for quote in begun.state.target.quotes}
    assert len(wanted - {price for _, _, price in before.wanted()}) <= 4


def test_a_restart_with_other_settings_lays_them_anew() -> None:
    belief = belief_of(quoting().state)
    begun = Desk(settings(REF_NOTIONAL_SOL="0.001", ORDERS_PER_WALLET=8))
    begun.happen(Remembered(at=START, first_start=START, recorded_from=START, belief=belief))
    begun.see(P)
    for side in Side:
        laid = begun.state.market.lattices[side]
        assert laid == fresh_lattice(begun.state, begun.chosen, side)
