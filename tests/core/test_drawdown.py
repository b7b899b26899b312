"""The drawdown stop: the gain is exact, transfers do not count, stages are entered, left and latched."""

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.config import Settings
from bmv.core.decay import FINE
from bmv.core.drawdown import BUCKETS, Drawdown
from bmv.model import Fill, Side
from bmv.units import BaseLots, Lamports, Millis, Ticks
from tests.core.belongings import QUOTE_LOT, START, settings

WINDOW = Millis(BUCKETS * 1_000)
SETTINGS = Settings()


def fill(side: Side, price: int, size: int, rebate: int = 0, fee: int = 0) -> Fill:
    return Fill(
        seq=1,
        at=START,
        wallet=0,
        side=side,
        price=Ticks(price),
        size=BaseLots(size),
        maker=True,
        rebate=Lamports(rebate),
        fee=Lamports(fee),
        order_id=1,
        client_id=1,
    )


FILLS = st.tuples(
    st.sampled_from(Side),
    st.integers(1, 10**6),
    st.integers(1, 10**4),
    st.integers(0, 50),
    st.integers(0, 50),
)
STEPS = st.lists(st.one_of(FILLS, st.integers(1, 10**6), st.tuples(st.integers(0, 10**6))), max_size=40)


def lived(steps: Sequence[object]) -> tuple[Drawdown, int, Fraction, bool]:
    """Return the guard after ``steps``, the net base, what money alone says, and whether it was ever short.

    A step is a fill, a move of P (ticks) or a cost.
    """
    guard, net, cash, short = Drawdown(), 0, Fraction(0), False
    guard.on_price(500 * FINE, BaseLots(0), QUOTE_LOT)
    for step in steps:
        if isinstance(step, int):
            guard.on_price(step * FINE, BaseLots(net), QUOTE_LOT)
        elif isinstance(step, tuple) and len(step) == 1:
            guard.on_cost(Lamports(step[0]))
            cash -= step[0]
        elif isinstance(step, tuple):
            side, price, size, rebate, fee = step
            guard.on_fill(fill(side, price, size, rebate, fee), QUOTE_LOT)
            sign = 1 if side is Side.BID else -1
            net += sign * size
            cash += rebate - fee - sign * price * size * QUOTE_LOT
        short = short or net < 0
    return guard, net, cash + Fraction(net * guard.mark * QUOTE_LOT, FINE), short


@given(STEPS)
def test_the_gain_is_money_and_bought_base_to_the_last_part_while_nothing_was_sold_short(
    steps: list[object],
) -> None:
    guard, _, money, short = lived(steps)
    if not short:
        assert Fraction(guard.gain, FINE) == money


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**4))
def test_a_rally_after_stock_was_sold_is_no_loss(sold_at: int, rallied_to: int, size: int) -> None:
    guard = Drawdown()
    guard.on_price(sold_at * FINE, BaseLots(0), QUOTE_LOT)
    guard.on_fill(fill(Side.ASK, sold_at, size), QUOTE_LOT)
    guard.on_price(rallied_to * FINE, BaseLots(-size), QUOTE_LOT)
    assert guard.gain == 0


@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(-(10**9), 10**9)), min_size=1, max_size=60))
def test_lost_is_against_the_best_moment_of_the_window(moves: list[tuple[int, int]]) -> None:
    guard, now, past = Drawdown(), int(START), []
    bucket = int(WINDOW) // BUCKETS
    for waited, gained in moves:
        now += waited
        guard.gain += gained * FINE
        past.append((now, guard.gain))
        lost = guard.lost_bps(Millis(now), Lamports(10**9), BaseLots(0), QUOTE_LOT, WINDOW)
        best = max(gain for at, gain in past if at // bucket > now // bucket - BUCKETS)
        missing = best - guard.gain
        assert lost == (missing * 10_000 // (10**9 * FINE + missing))
        assert len(guard.peaks) <= BUCKETS


def test_what_the_loss_is_measured_against_is_sol_bought_base_and_the_loss() -> None:
    guard = Drawdown()
    guard.on_price(100 * FINE, BaseLots(0), QUOTE_LOT)
    guard.lost_bps(START, Lamports(10**6), BaseLots(0), QUOTE_LOT, WINDOW)
    guard.on_fill(fill(Side.BID, 100, 5), QUOTE_LOT)
    guard.on_price(80 * FINE, BaseLots(5), QUOTE_LOT)
    # 5 lots lost 20 quote lots of 1,000 lamports each: 100,000 of 600,000 + 400,000 + 100,000.
    assert guard.lost_bps(START, Lamports(600_000), BaseLots(5), QUOTE_LOT, WINDOW) == 909
    deposited = guard.lost_bps(START, Lamports(10_600_000), BaseLots(5), QUOTE_LOT, WINDOW)
    assert deposited == 100_000 * 10_000 // 11_100_000


@pytest.mark.parametrize(
    ("lost", "stage"),
    [(0, 0), (999, 0), (1_000, 1), (1_999, 1), (2_000, 2), (2_999, 2), (3_000, 3), (9_999, 3)],
)
def test_each_stage_begins_at_its_limit(lost: int, stage: int) -> None:
    guard = Drawdown()
    assert guard.judge(lost, BaseLots(1), SETTINGS) == bool(stage)
    assert guard.stage == stage
    assert not guard.judge(lost, BaseLots(1), SETTINGS)


def test_a_stage_ends_when_half_of_its_limit_is_regained_and_says_so_once() -> None:
    guard = Drawdown()
    path = [2_000, 1_500, 1_000, 999, 600, 500, 499, 600]
    stages = [(guard.judge(lost, BaseLots(1), SETTINGS), guard.stage.name) for lost in path]
    assert stages == [
        (True, "ONE_SIDE"),
        (False, "ONE_SIDE"),
        (False, "ONE_SIDE"),
        (True, "WIDEN"),
        (False, "WIDEN"),
        (False, "WIDEN"),
        (True, "NONE"),
        (False, "NONE"),
    ]


def test_the_side_that_adds_to_the_loss_is_chosen_when_the_stop_begins_and_kept() -> None:
    for bought, side in ((5, Side.BID), (0, Side.ASK), (-5, Side.ASK)):
        guard = Drawdown()
        guard.judge(2_000, BaseLots(bought), SETTINGS)
        guard.judge(2_100, BaseLots(-bought), SETTINGS)
        assert guard.losing is side


def test_a_limit_of_a_hundred_percent_is_never_reached() -> None:
    never = settings(DRAWDOWN_WIDEN_PCT=100, DRAWDOWN_ONE_SIDE_PCT=100, DRAWDOWN_HALT_PCT=100)
    guard = Drawdown()
    assert not guard.judge(10_000, BaseLots(1), never)
