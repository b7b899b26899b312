"""The Pivot against an exact recomputation from the list of all trades, in all three modes."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.config import DAY_MS
from bmv.core.decay import FINE
from bmv.core.pivot import CappedPivot, PivotWindow, Seed, SolFade
from bmv.model import Side, Trade
from bmv.units import BaseLots, Bps, Millis, Ticks

WINDOW = Millis(10 * DAY_MS)
STARTED = 1_700_000_000_000
PURE = Seed()
Prior = Seed | SolFade
Exact = tuple[int, int]


def trade(at: int, price: int, size: int, own: bool = False) -> Trade:
    return Trade(0, Millis(at), Ticks(price), BaseLots(size), Side.BID, own)


def opened() -> PivotWindow:
    return PivotWindow(Millis(STARTED))


def value(window: PivotWindow, now: int, prior: Prior = PURE, sol_usd: Exact | None = None) -> int | None:
    return window.value_fine(Millis(now), WINDOW, prior, sol_usd)


def vwap(trades: list[Trade]) -> Fraction | None:
    volume = sum(int(item.size) for item in trades)
    worth = sum(int(item.price) * int(item.size) * FINE for item in trades)
    return Fraction(worth, volume) if volume else None


def standing(trades: list[Trade], now: int) -> Fraction | None:
    """Return the VWAP of the window; where it is empty, of the newest moment that traded."""
    inside = vwap([item for item in trades if now - int(item.at) < int(WINDOW)])
    if inside is not None:
        return inside
    newest = max((int(item.at) for item in trades), default=0)
    return vwap([item for item in trades if int(item.at) == newest])


def seeded(trades: list[Trade], now: int, seed: Seed) -> Fraction | None:
    """Recompute the seeded formula of the definition, in fine ticks."""
    since = min([STARTED, *(int(item.at) for item in trades)])
    fade = max(Fraction(0), 1 - Fraction(now - since, int(WINDOW)))
    lots = seed.daily_lots if seed.price_fine else 0
    seed_volume = Fraction(int(WINDOW), DAY_MS) * lots * fade
    counted = [item for item in trades if now - int(item.at) < int(WINDOW)]
    volume = seed_volume + sum(int(item.size) for item in counted)
    worth = seed.price_fine * seed_volume + sum(int(item.price) * int(item.size) * FINE for item in counted)
    if volume:
        return worth / volume
    return standing(trades, now) or (Fraction(seed.price_fine) if lots else None)


def fading(trades: list[Trade], now: int, prior: SolFade, sol_usd: Exact | None) -> Fraction | None:
    """Recompute the fade-in formula of the definition, in fine ticks."""
    recorded = standing(trades, now)
    f = min(Fraction(1), Fraction(now - STARTED, int(prior.fade))) if recorded is not None else Fraction(0)
    if f == 1:
        return recorded
    if sol_usd is None:
        return None
    return (1 - f) * prior.usd_fine / Fraction(*sol_usd) + f * (recorded or 0)


SIZES = st.integers(1, 10**6)
STEPS = st.lists(
    st.tuples(
        st.integers(0, 4 * DAY_MS) | st.just(int(WINDOW)),
        st.lists(st.tuples(SIZES, SIZES, st.integers(-5 * DAY_MS, DAY_MS)), max_size=2),
        st.none() | st.tuples(st.integers(1, 10**15), st.integers(1, 10**6)),
    ),
    max_size=20,
)
PRIORS = st.one_of(
    st.builds(Seed, st.just(0) | st.integers(0, 10**6 * FINE), st.just(0) | st.integers(0, 10**6)),
    st.builds(SolFade, st.integers(1, 10**30), st.integers(DAY_MS, 30 * DAY_MS).map(Millis)),
)


@given(STEPS, PRIORS)
def test_the_pivot_equals_its_definition_for_any_trades_and_times(
    steps: list[tuple[int, list[tuple[int, int, int]], Exact | None]], prior: Prior
) -> None:
    window, trades, now = opened(), list[Trade](), STARTED
    for wait, traded, sol_usd in steps:
        now += wait
        for price, size, shift in traded:
            # In order of time, late, or from before the start.
            late = trade(now + min(0, shift), price, size)
            window.add(late)
            trades.append(late)
        if isinstance(prior, Seed):
            expected = seeded(trades, now, prior)
        else:
            expected = fading(trades, now, prior, sol_usd)
        exact = window.raw(Millis(now), WINDOW, prior, sol_usd)
        assert (None if exact is None else Fraction(*exact)) == expected
        assert value(window, now, prior, sol_usd) == (None if expected is None else expected // 1)


@given(STEPS, st.integers(1, 10**6 * FINE), st.integers(1, 10**6))
def test_after_the_window_nothing_is_left_of_the_seed(
    steps: list[tuple[int, list[tuple[int, int, int]], Exact | None]], price: int, daily: int
) -> None:
    window, now = opened(), STARTED + int(WINDOW)
    window.add(trade(STARTED, 1, 1))
    for wait, traded, _ in steps:
        now += wait
        for at_price, size, _ in traded:
            window.add(trade(now, at_price, size))
        with_seed = window.raw(Millis(now), WINDOW, Seed(price, daily))
        without = window.raw(Millis(now), WINDOW, PURE)
        assert with_seed is not None
        assert with_seed == without


def test_the_weight_of_the_seed_is_one_at_the_start_and_zero_at_the_end_of_the_window() -> None:
    seed, last = Seed(100 * FINE, 10), int(WINDOW) - 1
    assert opened().raw(Millis(STARTED), WINDOW, seed) == (100 * FINE * 10 * int(WINDOW), 10 * int(WINDOW))
    window = opened()
    window.add(trade(STARTED + last, 300, 1))
    assert window.raw(Millis(STARTED + last), WINDOW, seed) == (
        100 * FINE * 10 + 300 * FINE * DAY_MS,
        10 + DAY_MS,
    )
    assert window.raw(Millis(STARTED + last + 1), WINDOW, seed) == (300 * FINE * DAY_MS, DAY_MS)


def test_half_the_window_leaves_half_the_seed() -> None:
    window, half = opened(), STARTED + int(WINDOW) // 2
    window.add(trade(half, 300, 50))
    assert value(window, half, Seed(100 * FINE, 10)) == 200 * FINE


def test_a_back_filled_trade_takes_the_place_of_the_seed_from_its_moment_on() -> None:
    window = opened()
    window.add(trade(STARTED - int(WINDOW) // 2, 300, 50))
    assert value(window, STARTED, Seed(100 * FINE, 10)) == 200 * FINE


FADE = SolFade(50 * FINE * 10**6, Millis(20 * DAY_MS))
SOL_AT_2_USD = (2 * 10**6, 1)


@pytest.mark.parametrize(("days", "expected"), [(0, 25), (5, 50), (10, 75), (19, 120), (20, 125), (99, 125)])
def test_the_fade_in_is_a_straight_line_from_the_dollar_price_to_the_vwap(days: int, expected: int) -> None:
    window = opened()
    window.add(trade(STARTED, 125, 7))
    assert value(window, STARTED + days * DAY_MS, FADE, SOL_AT_2_USD) == expected * FINE


def test_while_no_trade_is_recorded_the_fade_in_does_not_begin() -> None:
    window = opened()
    assert value(window, STARTED + 15 * DAY_MS, FADE, SOL_AT_2_USD) == 25 * FINE
    window.add(trade(STARTED + 15 * DAY_MS, 125, 1))
    assert value(window, STARTED + 15 * DAY_MS, FADE, SOL_AT_2_USD) == 100 * FINE


def test_the_fade_in_needs_to_know_what_sol_costs_until_it_is_over() -> None:
    window = opened()
    window.add(trade(STARTED, 125, 1))
    assert value(window, STARTED + 20 * DAY_MS - 1, FADE) is None
    assert value(window, STARTED + 20 * DAY_MS, FADE) == 125 * FINE


def test_without_weight_there_is_no_pivot_yet() -> None:
    for seed in (PURE, Seed(5 * FINE, 0), Seed(0, 9)):
        assert value(opened(), STARTED, seed) is None


def test_with_no_weight_left_the_price_of_the_last_trades_stands() -> None:
    window = opened()
    for at, price, size in ((0, 900, 7), (5, 100, 1), (5, 200, 3)):
        window.add(trade(STARTED + at, price, size))
    assert value(window, STARTED + 100 * DAY_MS) == 175 * FINE
    window.add(trade(STARTED + 4, 1, 1))
    assert value(window, STARTED + 101 * DAY_MS) == 175 * FINE


def test_a_seed_that_saw_no_trade_stands_for_ever() -> None:
    assert value(opened(), STARTED + 50 * DAY_MS, Seed(77, 10)) == 77


def test_a_window_made_shorter_forgets_and_made_longer_counts_on() -> None:
    window = opened()
    window.add(trade(STARTED, 10, 1))
    window.add(trade(STARTED + DAY_MS, 30, 1))
    now = Millis(STARTED + DAY_MS)
    values = [window.value_fine(now, Millis(days * DAY_MS), PURE) for days in (2, 1, 2)]
    assert values == [20 * FINE, 30 * FINE, 30 * FINE]


@given(STEPS)
def test_own_fills_count_like_any_trade_and_their_share_is_exact(
    steps: list[tuple[int, list[tuple[int, int, int]], Exact | None]],
) -> None:
    ours, anybodys, trades, now = opened(), opened(), list[Trade](), STARTED
    for wait, traded, _ in steps:
        now += wait
        for price, size, shift in traded:
            trades.append(trade(now + min(0, shift), price, size, own=size % 2 == 0))
            ours.add(trades[-1])
            anybodys.add(trade(now + min(0, shift), price, size))
        assert value(ours, now) == value(anybodys, now)
        inside = [item for item in trades if now - int(item.at) < int(WINDOW)]
        own = sum(int(item.size) for item in inside if item.own)
        assert ours.own_share == (own, sum(int(item.size) for item in inside))


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


@given(
    st.lists(st.tuples(st.integers(1, DAY_MS // 4), st.integers(1, 10**6)), min_size=2, max_size=40),
    st.sampled_from([1, 500, 10_000]),
)
def test_no_day_sees_the_quoting_pivot_travel_further_than_allowed(
    raws: list[tuple[int, int]], most: int
) -> None:
    capped, now, seen = CappedPivot(), STARTED, list[tuple[int, int]]()
    for wait, raw in raws:
        now += wait
        value = capped.step(raw * FINE, Millis(now), Bps(most))
        assert value is not None
        seen.append((now, value))
    for at, value in seen:
        for later, other in seen:
            if at <= later <= at + DAY_MS:
                assert max(value, other) * 10_000 <= (min(value, other) + 1) * (10_000 + most)


def test_within_the_cap_the_raw_pivot_is_used_as_it_is() -> None:
    capped = CappedPivot()
    assert capped.step(None, Millis(STARTED), Bps(500)) is None
    assert capped.step(1_000 * FINE, Millis(STARTED), Bps(500)) == 1_000 * FINE
    assert capped.step(1_040 * FINE, Millis(STARTED + DAY_MS), Bps(500)) == 1_040 * FINE
    stopped = capped.step(1_100 * FINE, Millis(STARTED + 2 * DAY_MS), Bps(500))
    assert stopped == pytest.approx(1_092 * FINE, rel=1e-9)
    assert capped.step(None, Millis(STARTED + 9 * DAY_MS), Bps(500)) == stopped


def test_ten_thousand_trades_leave_no_rounding_behind() -> None:
    window = opened()
    trades = [trade(STARTED + i * 200_000, 100 + i % 7, 1 + i % 5) for i in range(10_000)]
    for one in trades:
        window.add(one)
        window.raw(one.at, WINDOW, PURE)
    expected = vwap([one for one in trades if int(trades[-1].at) - int(one.at) < int(WINDOW)])
    assert expected is not None
    assert value(window, int(trades[-1].at)) == expected // 1
