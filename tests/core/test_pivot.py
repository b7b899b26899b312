"""The Pivot against an exact recomputation from the list of all trades."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.core.decay import FINE
from bmv.core.pivot import DAY_MS, CappedPivot, PivotWindow
from bmv.model import Side, Trade
from bmv.units import BaseLots, Bps, Millis, Ticks

WINDOW = Millis(10 * DAY_MS)
STARTED = 1_700_000_000_000


def trade(at: int, price: int, size: int, own: bool = False) -> Trade:
    return Trade(0, Millis(at), Ticks(price), BaseLots(size), Side.BID, own)


def oracle(trades: list[Trade], now: int, seed_price: int, seed_daily: int) -> Fraction | None:
    """Recompute the formula of the definition, in fine ticks."""
    counted = [item for item in trades if now - int(item.at) < int(WINDOW)]
    fade = max(Fraction(0), 1 - Fraction(now - STARTED, int(WINDOW)))
    seed_volume = Fraction(int(WINDOW), DAY_MS) * seed_daily * fade if seed_price else Fraction(0)
    volume = seed_volume + sum(int(item.size) for item in counted)
    worth = seed_price * seed_volume + sum(int(item.price) * int(item.size) * FINE for item in counted)
    return worth / volume if volume else None


STEPS = st.lists(
    st.tuples(
        st.integers(0, 4 * DAY_MS), st.integers(1, 10**6), st.integers(1, 10**6), st.integers(-DAY_MS, 1)
    ),
    max_size=25,
)


@given(STEPS, st.integers(0, 10**6 * FINE), st.integers(0, 10**6))
def test_the_pivot_equals_its_definition_for_any_trades_and_times(
    steps: list[tuple[int, int, int, int]], seed_price: int, seed_daily: int
) -> None:
    window = PivotWindow(WINDOW, seed_price, seed_daily, Millis(STARTED))
    trades: list[Trade] = []
    now = STARTED
    for wait, price, size, shift in steps:
        now += wait
        late = trade(max(STARTED, now + min(0, shift)), price, size)
        window.add(late)
        trades.append(late)
        expected = oracle(trades, now, seed_price, seed_daily)
        assert expected is not None
        assert window.value_fine(Millis(now)) == expected.numerator // expected.denominator
        exact = window.raw()
        assert exact is not None
        assert Fraction(*exact) == expected


@given(STEPS, st.integers(1, 10**6 * FINE), st.integers(1, 10**6))
def test_after_the_window_nothing_is_left_of_the_seed(
    steps: list[tuple[int, int, int, int]], seed_price: int, seed_daily: int
) -> None:
    seeded = PivotWindow(WINDOW, seed_price, seed_daily, Millis(STARTED))
    pure = PivotWindow(WINDOW, 0, 0, Millis(STARTED))
    now = STARTED + int(WINDOW)
    for wait, price, size, _ in steps:
        now += wait
        for window in (seeded, pure):
            window.add(trade(now, price, size))
            window.advance(Millis(now))
        first, second = seeded.raw(), pure.raw()
        assert first is not None
        assert second is not None
        assert Fraction(*first) == Fraction(*second)


def test_half_the_window_leaves_half_the_seed() -> None:
    window = PivotWindow(WINDOW, 100 * FINE, 10, Millis(STARTED))
    half = STARTED + int(WINDOW) // 2
    window.add(trade(half, 300, 50))
    assert window.value_fine(Millis(half)) == 200 * FINE


def test_without_weight_there_is_no_pivot_yet() -> None:
    assert PivotWindow(WINDOW, 0, 0, Millis(STARTED)).value_fine(Millis(STARTED)) is None
    assert PivotWindow(WINDOW, 5 * FINE, 0, Millis(STARTED)).value_fine(Millis(STARTED)) is None
    assert PivotWindow(WINDOW, 0, 9, Millis(STARTED)).value_fine(Millis(STARTED)) is None


def test_with_no_weight_left_the_price_of_the_last_trades_stands() -> None:
    window = PivotWindow(WINDOW, 0, 0, Millis(STARTED))
    for at, price, size in ((0, 900, 7), (5, 100, 1), (5, 200, 3)):
        window.add(trade(STARTED + at, price, size))
    assert window.value_fine(Millis(STARTED + 100 * DAY_MS)) == 175 * FINE
    assert window.raw() is None
    window.add(trade(STARTED + 6, 1, 1))
    assert window.value_fine(Millis(STARTED + 101 * DAY_MS)) == 175 * FINE


def test_a_seed_that_saw_no_trade_stands_for_ever() -> None:
    window = PivotWindow(WINDOW, 77, 10, Millis(STARTED))
    assert window.value_fine(Millis(STARTED + 50 * DAY_MS)) == 77


def test_own_fills_count_like_any_trade() -> None:
    window = PivotWindow(WINDOW, 0, 0, Millis(STARTED))
    window.add(trade(STARTED, 10, 1, own=True))
    window.add(trade(STARTED, 20, 1))
    assert window.value_fine(Millis(STARTED)) == 15 * FINE


@given(st.lists(st.integers(1, 3 * DAY_MS), min_size=1, max_size=20), st.integers(1, 10**9), st.booleans())
def test_the_quoting_pivot_travels_at_most_its_share_a_day(waits: list[int], start: int, up: bool) -> None:
    capped = CappedPivot()
    now, begin = STARTED, start * FINE
    capped.step(begin, Millis(now), Bps(500))
    goal = begin * 1_000 if up else 1
    for wait in waits:
        now += wait
        value = capped.step(goal, Millis(now), Bps(500))
        assert value is not None
        days = (now - STARTED) / DAY_MS
        allowed = 1.05**days
        far = value / begin if up else begin / max(1, value)
        assert far <= allowed * (1 + 1e-6) or far <= (begin + 2) / begin
        assert far == pytest.approx(min(allowed, 1_000 if up else begin), rel=1e-5) or value <= 10**6
    assert capped.raw_fine == goal


def test_how_often_it_is_asked_does_not_change_how_far_it_travels() -> None:
    often, rarely = CappedPivot(), CappedPivot()
    for capped in (often, rarely):
        capped.step(5 * FINE, Millis(STARTED), Bps(500))
    for step in range(1, 5_001):
        often.step(50 * FINE, Millis(STARTED + step * 400), Bps(500))
    rarely.step(50 * FINE, Millis(STARTED + 5_000 * 400), Bps(500))
    assert often.value_fine is not None
    assert rarely.value_fine is not None
    assert abs(often.value_fine - rarely.value_fine) <= 2


def test_within_the_cap_the_raw_pivot_is_used_as_it_is() -> None:
    capped = CappedPivot()
    assert capped.step(None, Millis(STARTED), Bps(500)) is None
    assert capped.step(1_000 * FINE, Millis(STARTED), Bps(500)) == 1_000 * FINE
    assert capped.step(1_040 * FINE, Millis(STARTED + DAY_MS), Bps(500)) == 1_040 * FINE
    stopped = capped.step(1_100 * FINE, Millis(STARTED + 2 * DAY_MS), Bps(500))
    assert stopped == pytest.approx(1_092 * FINE, rel=1e-9)
    assert capped.step(None, Millis(STARTED + 9 * DAY_MS), Bps(500)) == stopped


def test_ten_thousand_trades_are_counted_at_a_steady_cost() -> None:
    window = PivotWindow(WINDOW, 0, 0, Millis(STARTED))
    for index in range(10_000):
        window.add(trade(STARTED + index * 200_000, 100 + index % 7, 1 + index % 5))
        window.advance(Millis(STARTED + index * 200_000))
    expected = oracle(
        [trade(STARTED + i * 200_000, 100 + i % 7, 1 + i % 5) for i in range(10_000)],
        STARTED + 9_999 * 200_000,
        0,
        0,
    )
    assert expected is not None
    assert window.value_fine(Millis(STARTED + 9_999 * 200_000)) == expected.numerator // expected.denominator
