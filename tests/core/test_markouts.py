"""Markouts against looking up, for each fill, the first price at or after the horizon."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from bmv.core.decay import FINE
from bmv.core.markouts import HORIZONS_S, Markouts
from bmv.model import Fill, Side
from bmv.units import BaseLots, Lamports, Millis, Ticks

QUOTE_LOT = 7
FILLS = st.tuples(st.sampled_from(Side), st.integers(1, 1_000), st.integers(1, 10_000))
STEPS = st.lists(
    st.tuples(st.integers(0, 2_000_000), st.integers(1, 1_000 * FINE), st.lists(FILLS, max_size=2)),
    max_size=20,
)


def fill(at: int, side: Side, price: int, size: int) -> Fill:
    nothing = Lamports(0)
    return Fill(1, Millis(at), 0, side, Ticks(price), BaseLots(size), True, nothing, nothing, 1, 1)


@given(STEPS)
def test_each_fill_is_judged_once_at_the_first_price_after_the_horizon(
    steps: list[tuple[int, int, list[tuple[Side, int, int]]]],
) -> None:
    markouts, now = Markouts(QUOTE_LOT), 0
    prices: list[tuple[int, int]] = []
    fills: list[tuple[int, Side, int, int]] = []
    for passed, price, filled in steps:
        now += passed
        for side, at_price, size in filled:
            fills.append((now, side, at_price, size))
            markouts.filled(fill(now, side, at_price, size))
        prices.append((now, price))
        markouts.priced(price, Millis(now))
    for side in Side:
        for horizon in HORIZONS_S:
            count, gain, value = 0, Fraction(0), 0
            for at, own, price, size in fills:
                later = [p for when, p in prices if when >= at + horizon * 1000]
                if own is side and later:
                    sign = 1 if side is Side.BID else -1
                    count, value = count + 1, value + price * size * QUOTE_LOT
                    gain += sign * (Fraction(later[0], FINE) - price) * size * QUOTE_LOT
            found = markouts.sums[side, horizon]
            assert (found.fills, int(found.value)) == (count, value)
            assert 0 <= gain - int(found.gain) < max(1, count)


def test_a_bid_gains_when_the_price_rises_and_an_ask_when_it_falls() -> None:
    markouts = Markouts(QUOTE_LOT)
    markouts.filled(fill(0, Side.BID, 100, 10))
    markouts.filled(fill(0, Side.ASK, 100, 10))
    markouts.priced(101 * FINE, Millis(1_000))
    assert markouts.sums[Side.BID, 1].bps() == 100
    assert markouts.sums[Side.ASK, 1].bps() == -100
    assert markouts.sums[Side.ASK, 5].bps() is None
