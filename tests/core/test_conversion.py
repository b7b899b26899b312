"""Which offers a conversion takes, and who gets what it buys."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.core.conversion import Offer, refusal, shared_out
from bmv.core.oracle import Oracle
from bmv.model import Conversion, Direction, Rule
from bmv.units import Lamports, MicroUsd, UsdPerSol
from tests.core.belongings import SOL, START, later, settings

USD = 1_000_000
BUY = Conversion(Rule.DAMPER, Direction.BUY_SOL, MicroUsd(1_000 * USD), Lamports(10 * SOL), "why")
SELL = Conversion(Rule.UPPER, Direction.SELL_SOL, MicroUsd(1_000 * USD), Lamports(10 * SOL), "why")
ORACLE = Oracle(UsdPerSol(100 * USD), START)


@given(st.integers(8 * SOL, 12 * SOL), st.integers(0, 200))
def test_an_offer_of_sol_is_taken_within_slippage_and_deviation_and_not_outside(
    brings: int, slippage: int
) -> None:
    offer = Offer(1_000 * USD, brings, brings * (10_000 - slippage) // 10_000)
    price = Fraction(1_000 * SOL, brings)
    sound = abs(price - 100) <= 1 and slippage <= 50
    assert (refusal(BUY, offer, ORACLE, START, settings()) is None) is sound


@given(st.integers(800 * USD, 1_200 * USD))
def test_an_offer_of_dollars_is_measured_the_same_way(brings: int) -> None:
    offer = Offer(10 * SOL, brings, brings)
    sound = abs(Fraction(brings, 10 * USD) - 100) <= 1
    assert (refusal(SELL, offer, ORACLE, START, settings()) is None) is sound


@pytest.mark.parametrize(
    ("conversion", "spends", "brings"), [(BUY, 1_000 * USD, 10 * SOL), (SELL, 10 * SOL, 1_000 * USD)]
)
def test_an_offer_says_why_it_is_refused(conversion: Conversion, spends: int, brings: int) -> None:
    sound = Offer(spends, brings, brings)
    assert refusal(conversion, sound, ORACLE, START, settings()) is None
    for offer, word in (
        (Offer(spends + 1, brings, brings), "amount"),
        (Offer(spends, brings, brings * 99 // 100), "MAX_SLIPPAGE_BPS"),
        (Offer(spends, brings * 102 // 100, brings * 102 // 100), "MAX_ORACLE_DEVIATION_BPS"),
        (Offer(spends, brings * 98 // 100, brings * 98 // 100), "MAX_ORACLE_DEVIATION_BPS"),
        (Offer(spends, 0, 0), "MAX_ORACLE_DEVIATION_BPS"),
    ):
        assert word in (refusal(conversion, offer, ORACLE, START, settings()) or "")
    for oracle, now in ((ORACLE, later(90_001)), (Oracle(), START)):
        assert "stale" in (refusal(conversion, sound, oracle, now, settings()) or "")


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**12), min_size=1, max_size=8))
def test_what_is_bought_is_shared_by_what_each_lacks_to_the_last_lamport(
    amount: int, lacking: list[int]
) -> None:
    shares = [int(share) for share in shared_out(Lamports(amount), [Lamports(one) for one in lacking])]
    assert sum(shares) == amount
    weights = lacking if any(lacking) else [1] * len(lacking)
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - Fraction(amount * weight, sum(weights))) < 1
        assert share == 0 or weight > 0
