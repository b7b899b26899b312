"""The channel against its definition in exact fractions."""

from fractions import Fraction
from math import floor

from hypothesis import given
from hypothesis import strategies as st

from bmv.config import Settings, load
from bmv.core.channel import Inertia, channel
from bmv.core.decay import FINE
from bmv.units import Millis

PRICES = st.integers(10**6, 10**14)
HOUR = 3_600_000


def settings(buy: str, sell: str) -> Settings:
    return load(environ={"BMV_BUY_CHANNEL_WIDTH_PCT": buy, "BMV_SELL_CHANNEL_WIDTH_PCT": sell})


@given(PRICES, PRICES, st.none() | PRICES, st.sampled_from(["15", "5", "60"]), st.sampled_from(["30", "200"]))
def test_the_borders_are_those_of_the_definition(
    p: int, f: int, pivot: int | None, buy: str, sell: str
) -> None:
    chosen = settings(buy, sell)
    w_b, w_s = Fraction(int(buy), 100), Fraction(int(sell), 100)
    anchor = Fraction(f) if pivot is None else min(Fraction(f), max(Fraction(pivot), f / Fraction(105, 100)))
    sell_low = min(max(anchor, Fraction(p)), p * Fraction(103, 100))
    zones = channel(p, f, pivot, chosen)
    assert abs(zones.anchor - anchor) <= 1
    assert abs(zones.buy_low - min(anchor * (1 - w_b), p * (1 - w_b / 2))) <= 2
    assert zones.buy_high == (p if f < p * (1 - w_b) else f)
    assert abs(zones.sell_low - sell_low) <= 1
    assert abs(zones.sell_high - max(f * (1 + w_s), Fraction(p), sell_low * (1 + w_s / 2))) <= 3


@given(PRICES, PRICES, st.none() | PRICES)
def test_both_zones_reach_beyond_p_whatever_the_market_did(p: int, f: int, pivot: int | None) -> None:
    zones = channel(p, f, pivot, settings("15", "30"))
    assert zones.buy_low < min(p, zones.buy_high)
    assert p <= zones.sell_low < zones.sell_high


def test_a_flat_market_has_the_nominal_channel() -> None:
    zones = channel(1_000_000, 1_000_000, 1_000_000, settings("15", "30"))
    assert (zones.buy_low, zones.buy_high, zones.sell_low, zones.sell_high) == (
        850_000,
        1_000_000,
        1_000_000,
        1_300_000,
    )


def test_a_market_that_left_its_pivot_behind_draws_the_anchor_along() -> None:
    assert channel(2_000_000, 2_000_000, 1_000_000, settings("15", "30")).anchor == floor(2_000_000 / 1.05)
    assert channel(2_000_000, 2_000_000, 9_000_000, settings("15", "30")).anchor == 2_000_000


@given(
    st.lists(st.tuples(st.integers(0, 20 * HOUR), st.integers(1, 10**6)), min_size=1, max_size=20),
    st.integers(1, 5),
)
def test_f_is_the_time_average_whatever_the_number_of_steps(path: list[tuple[int, int]], cuts: int) -> None:
    half_life = Millis(24 * HOUR)
    once, often = Inertia(), Inertia()
    now, exact, held = 0, float(path[0][1]), float(path[0][1])
    for index, (wait, price) in enumerate(path):
        if index:
            exact = held + (exact - held) * 2 ** (-wait / (24 * HOUR))
            for cut in range(1, cuts):
                often.step(int(held) * FINE, Millis(now + wait * cut // cuts), half_life)
            now += wait
        held = float(price)
        first = once.step(price * FINE, Millis(now), half_life)
        second = often.step(price * FINE, Millis(now), half_life)
        assert abs(first - second) <= 1
        assert abs(first / FINE - exact) <= 1e-6 + exact * 1e-9


def test_short_steps_are_not_lost_in_rounding() -> None:
    inertia = Inertia()
    inertia.step(5 * FINE, Millis(0), Millis(24 * HOUR))
    for index in range(1, 20_001):
        inertia.step(6 * FINE, Millis(index * 400), Millis(24 * HOUR))
    expected = 6 - 2 ** (-(19_999 * 400) / (24 * HOUR))
    assert abs(inertia.value_fine / FINE - expected) < 1e-6
