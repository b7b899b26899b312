"""The channel against its definition in exact fractions."""

from decimal import Decimal
from fractions import Fraction
from math import floor

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bmv.config import Settings, load
from bmv.core.channel import Channel, Inertia, channel, standable
from bmv.core.decay import FINE
from bmv.model import ForeignBook, Side
from bmv.units import Bps, Millis, Ticks

PRICES = st.integers(10**6, 10**14)
HOUR = 3_600_000


def settings(buy: str = "15", sell: str = "30", mode: str = "follow") -> Settings:
    widths = {"BMV_BUY_CHANNEL_WIDTH_PCT": buy, "BMV_SELL_CHANNEL_WIDTH_PCT": sell}
    return load(environ={**widths, "BMV_CHANNEL_MODE": mode})


def zones_of(p: int, f: int, pivot: int | None, chosen: Settings) -> Channel:
    found = channel(p, f, pivot, chosen)
    assert found is not None
    return found


@given(PRICES, PRICES, st.none() | PRICES, st.sampled_from(["15", "5", "60"]), st.sampled_from(["30", "200"]))
def test_the_borders_are_those_of_the_definition(
    p: int, f: int, pivot: int | None, buy: str, sell: str
) -> None:
    chosen = settings(buy, sell)
    w_b, w_s = Fraction(int(buy), 100), Fraction(int(sell), 100)
    anchor = Fraction(f) if pivot is None else min(Fraction(f), max(Fraction(pivot), f / Fraction(105, 100)))
    sell_low = min(max(anchor, Fraction(p)), p * Fraction(103, 100))
    zones = zones_of(p, f, pivot, chosen)
    assert abs(zones.anchor - anchor) <= 1
    assert abs(zones.buy_low - min(anchor * (1 - w_b), p * (1 - w_b / 2))) <= 2
    assert zones.buy_high == (p if f < p * (1 - w_b) else f)
    near = zones_of(p, f, pivot, chosen.model_copy(update={"buy_gap_max": Bps(400)}))
    assert near.buy_high == (p if f < p * (1 - w_b) else max(f, floor(p * Fraction(96, 100))))
    assert msgspec.structs.replace(near, buy_high=zones.buy_high) == zones
    assert abs(zones.sell_low - sell_low) <= 1
    assert abs(zones.sell_high - max(f * (1 + w_s), Fraction(p), sell_low * (1 + w_s / 2))) <= 3


@given(PRICES, PRICES, st.none() | PRICES)
def test_both_zones_reach_beyond_p_whatever_the_market_did(p: int, f: int, pivot: int | None) -> None:
    zones = zones_of(p, f, pivot, settings())
    assert zones.buy_low < min(p, zones.buy_high)
    assert p <= zones.sell_low < zones.sell_high


def test_a_flat_market_has_the_nominal_channel() -> None:
    zones = zones_of(1_000_000, 1_000_000, 1_000_000, settings())
    assert (zones.buy_low, zones.buy_high, zones.sell_low, zones.sell_high) == (
        850_000,
        1_000_000,
        1_000_000,
        1_300_000,
    )


def test_a_market_that_left_its_pivot_behind_draws_the_anchor_along() -> None:
    assert zones_of(2_000_000, 2_000_000, 1_000_000, settings()).anchor == floor(2_000_000 / 1.05)
    assert zones_of(2_000_000, 2_000_000, 9_000_000, settings()).anchor == 2_000_000


@given(PRICES, PRICES, PRICES, st.sampled_from(["15", "5", "60"]), st.sampled_from(["30", "200"]))
def test_in_pivot_mode_the_borders_hang_on_the_pivot(p: int, f: int, pivot: int, buy: str, sell: str) -> None:
    zones = zones_of(p, f, pivot, settings(buy, sell, "pivot"))
    assert zones.buy_low == floor(pivot * (1 - Fraction(int(buy), 100)))
    assert zones.sell_high == floor(pivot * (1 + Fraction(int(sell), 100)))
    assert (zones.buy_high, zones.sell_low) == (pivot, max(pivot, p))
    assert zones.anchor == pivot
    nearest = Ticks(pivot // FINE)
    assert not zones.passed(Side.BID, nearest)
    assert zones.passed(Side.BID, nearest + Ticks(1))
    assert zones.passed(Side.ASK, nearest) == (pivot % FINE > 0)
    assert not zones.passed(Side.ASK, nearest + Ticks(1))


def test_pivot_mode_has_no_channel_without_a_pivot() -> None:
    assert channel(1_000_000, 1_000_000, None, settings(mode="pivot")) is None


@given(
    st.sampled_from(list(Side)),
    st.integers(1, 40 * FINE),
    st.none() | st.integers(1, 40),
    st.tuples(st.integers(1, 40 * FINE), st.integers(1, 40 * FINE)),
)
def test_an_order_may_stand_where_every_rule_allows_it(
    side: Side, p: int, opposite: int | None, borders: tuple[int, int]
) -> None:
    def allowed(tick: int) -> bool:
        if side is Side.BID:
            beyond = tick * FINE < p and (opposite is None or tick < opposite)
        else:
            beyond = tick * FINE > p and (opposite is None or tick > opposite)
        return beyond and borders[0] <= tick * FINE <= borders[1]

    lowest, highest = standable(side, p, None if opposite is None else Ticks(opposite), borders)
    assert [tick for tick in range(1, 50) if allowed(tick)] == list(range(lowest, highest + 1))


@given(st.integers(10**9, 10**14), PRICES, st.integers(10**9, 10**14))
def test_a_side_is_closed_where_p_has_left_its_zone(p: int, f: int, pivot: int) -> None:
    zones = zones_of(p, f, pivot, settings(mode="pivot"))
    closed = zones.closed_sides(p, ForeignBook())
    assert (Side.BID in closed) == (-(-zones.buy_low // FINE) * FINE >= p)
    assert (Side.ASK in closed) == (max(p + 1, pivot) > zones.sell_high // FINE * FINE)
    assert zones_of(p, f, pivot, settings()).closed_sides(p, ForeignBook()) == ()


@given(
    st.lists(st.tuples(st.integers(0, 20 * HOUR), st.integers(1, 10**6)), min_size=1, max_size=20),
    st.integers(1, 5),
)
def test_f_is_the_time_average_whatever_the_number_of_steps(path: list[tuple[int, int]], cuts: int) -> None:
    half_life = Millis(24 * HOUR)
    once, often = Inertia(), Inertia()
    now, exact, held = 0, Decimal(path[0][1]), path[0][1]
    for index, (wait, price) in enumerate(path):
        if index:
            exact = held + (exact - held) * Decimal(2) ** (-Decimal(wait) / (24 * HOUR))
            for cut in range(1, cuts):
                often.step(held * FINE, Millis(now + wait * cut // cuts), half_life)
            now += wait
        held = price
        first = once.step(price * FINE, Millis(now), half_life)
        second = often.step(price * FINE, Millis(now), half_life)
        assert abs(first - second) <= 1
        assert abs(first - exact * FINE) <= 1


def test_short_steps_are_not_lost_in_rounding() -> None:
    inertia = Inertia()
    inertia.step(5 * FINE, Millis(0), Millis(24 * HOUR))
    for index in range(1, 20_001):
        inertia.step(6 * FINE, Millis(index * 400), Millis(24 * HOUR))
    expected = 6 - 2 ** (-(19_999 * 400) / (24 * HOUR))
    assert abs(inertia.value_fine / FINE - expected) < 1e-6
