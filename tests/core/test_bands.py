"""Price bands: absolute and relative limits, who is stopped by them, and no flicker at the border."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.config import Settings
from bmv.core.bands import HYSTERESIS_BPS, Band, band
from bmv.model import Side
from tests.core.belongings import settings

PRICES = st.integers(1, 1 << 60)


def test_without_keys_there_is_no_band() -> None:
    assert band(0, 0, 10**9, Settings()) == Band(None, None)
    assert all(Band().admits(side, price) for side in Side for price in (1, 1 << 80))


@given(PRICES, PRICES, PRICES, st.integers(0, 9_000))
def test_the_tighter_of_the_two_limits_binds(most: int, least: int, average: int, width: int) -> None:
    found = band(most, least, average, settings(PRICE_BAND_PCT=f"{width / 100:.2f}"))
    above, below = Fraction(average * (10_000 + width), 10_000), Fraction(average * (10_000 - width), 10_000)
    bid_limits = [Fraction(most)] + ([above] if width else [])
    ask_limits = [Fraction(least)] + ([below] if width else [])
    for price in {most, least, average, int(above), int(above) + 1, int(below), int(below) + 1}:
        assert found.admits(Side.BID, price) == (price <= min(bid_limits))
        assert found.admits(Side.ASK, price) == (price >= max(ask_limits))


@pytest.mark.parametrize(("price", "stopped"), [(1_000, []), (1_001, [Side.BID]), (499, [Side.ASK])])
def test_a_price_beyond_a_limit_stops_the_side_that_would_trade_at_a_loss(
    price: int, stopped: list[Side]
) -> None:
    limits = Band(1_000, 500)
    assert [side for side in Side if limits.stops(side, price, stopped=False)] == stopped


@given(PRICES, PRICES)
def test_a_stopped_side_returns_only_when_the_price_is_back_by_the_hysteresis(limit: int, price: int) -> None:
    for side, limits in ((Side.BID, Band(limit, None)), (Side.ASK, Band(None, limit))):
        if limits.stops(side, price, stopped=False):
            assert limits.stops(side, price, stopped=True)
        margin = 1 + Fraction(HYSTERESIS_BPS, 10_000) * (1 if side is Side.BID else -1)
        if not limits.stops(side, price, stopped=True):
            exact = price * margin
            assert exact < limit + 1 if side is Side.BID else exact >= limit
