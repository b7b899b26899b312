"""What several sources agree on: outliers, age, jumps, and the two levels of trust."""

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.core.feeds import Origin, Reading, Told, Verdict, judge
from tests.core.belongings import START, later, settings

USD = 1_000_000
ORIGINS = [Origin.PYTH, Origin.COINBASE, Origin.KRAKEN, Origin.BINANCE]


def said(*micros: int, age: int = 0, uncertainty: int = 0) -> list[Reading]:
    """Return readings of different origin, all of one age in ms."""
    return [
        Reading(str(origin), origin, value, uncertainty, later(-age))
        for origin, value in zip(ORIGINS, micros, strict=False)
    ]


def judged(readings: list[Reading]) -> Verdict:
    """Return what comes of one round at START, the first there is."""
    return judge(readings, Told(), START, settings())[0]


@given(st.lists(st.integers(99_800_000, 100_200_000), min_size=2, max_size=4))
def test_sources_that_agree_make_their_median_and_it_is_firm(values: list[int]) -> None:
    verdict = judged(said(*values))
    assert verdict.firm
    assert verdict.micros is not None
    assert abs(verdict.micros - median(values)) <= 1
    assert not verdict.dropped


@given(st.lists(st.integers(99_900_000, 100_100_000), min_size=3, max_size=3), st.integers(-99, 10**6))
def test_one_wrong_source_among_four_moves_nothing(values: list[int], wrong: int) -> None:
    lie = 100 * USD + wrong * USD
    verdict = judged(said(*values, lie))
    assert verdict.firm or abs(wrong) < 1
    assert verdict.micros is not None
    assert min(*values, lie) <= verdict.micros <= 100_100_000 or not wrong
    if abs(wrong) >= 1:
        assert "binance" in dict(verdict.dropped)
        assert min(values) <= verdict.micros <= max(values)


def test_of_two_that_disagree_neither_is_believed_for_conversions() -> None:
    verdict = judged(said(100 * USD, 110 * USD))
    assert (verdict.firm, "apart" in verdict.reason) == (False, True)


def test_one_source_values_the_reserve_and_converts_nothing() -> None:
    verdict = judged(said(100 * USD))
    assert (verdict.micros, verdict.firm) == (100 * USD, False)
    pyth_twice = [Reading(name, Origin.PYTH, 100 * USD, 0, START) for name in ("pyth", "hermes")]
    assert not judged(pyth_twice).firm


@pytest.mark.parametrize(
    ("age", "firm", "price"), [(90_000, True, True), (90_001, False, True), (600_001, False, False)]
)
def test_an_old_price_still_values_an_older_one_says_nothing(age: int, firm: bool, price: bool) -> None:
    verdict = judged(said(100 * USD, 100 * USD, age=age))
    assert (verdict.firm, verdict.micros is not None) == (firm, price)


def test_a_fresh_source_silences_the_old_ones() -> None:
    verdict = judged([*said(100 * USD, age=100_000), *said(0, 101 * USD)[1:]])
    assert (verdict.micros, verdict.firm, verdict.used) == (101 * USD, False, ("coinbase",))


def test_what_is_uncertain_of_the_future_or_no_price_is_dropped_with_the_reason() -> None:
    wild = said(100 * USD, uncertainty=2 * USD)
    future = [Reading("kraken", Origin.KRAKEN, 100 * USD, 0, later(60_000))]
    verdict = judged([*wild, *future, *said(0, 0)[1:]])
    assert verdict.micros is None
    assert dict(verdict.dropped) == {
        "pyth": "too uncertain",
        "kraken": "of the future",
        "coinbase": "not a price",
    }


def test_a_price_in_another_currency_counts_half() -> None:
    readings = [*said(100 * USD, 100_200_000), Reading("binance", Origin.BINANCE, 100_400_000, 0, START, 1)]
    assert judged(readings).micros == 100_200_000
    assert judged([readings[0], readings[2]]).micros == 100 * USD


def test_a_check_can_only_speak_against() -> None:
    check = Reading("jupiter", Origin.CHECK, 103 * USD, 0, START)
    verdict = judged([*said(100 * USD, 100 * USD), check])
    assert (verdict.micros, verdict.firm) == (100 * USD, False)
    assert "jupiter" in verdict.reason
    old = Reading("jupiter", Origin.CHECK, 103 * USD, 0, later(-100_000))
    assert judged([*said(100 * USD, 100 * USD), old]).firm
    assert judged([check]).micros is None


def test_a_jump_is_told_when_it_is_seen_twice_and_forgotten_when_not() -> None:
    told = Told(100 * USD)
    first, after = judge(said(106 * USD, 106 * USD), told, START, settings())
    assert first.micros is None
    again, after_again = judge(said(106_500_000, 106_500_000), after, START, settings())
    assert (again.micros, again.firm) == (106_500_000, True)
    assert after_again == Told(106_500_000)
    back, calm = judge(said(100 * USD, 100 * USD), after, START, settings())
    assert (back.firm, calm) == (True, Told(100 * USD))
    other, _ = judge(said(94 * USD, 94 * USD), after, START, settings())
    assert other.micros is None
