"""Spread, depth and presence against a second computation in decimals."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bmv.core.decay import FINE
from bmv.core.quality import quality
from bmv.model import DEPTH_BANDS, ForeignBook, LiveOrder, Side
from bmv.units import BaseLots, Lamports, Ticks

QUOTE_LOT = 1_000
SIZES = st.integers(1, 10**6)
BIDS = st.lists(st.tuples(st.integers(9_000, 10_000), SIZES), max_size=8)
ASKS = st.lists(st.tuples(st.integers(10_001, 11_000), SIZES), max_size=8)


def order(side: Side, price: int, size: int) -> LiveOrder:
    return LiveOrder(0, side, Ticks(price), BaseLots(size), 1, 1)


@given(BIDS, ASKS, st.integers(9_000, 11_000))
def test_depth_and_presence_are_sums_of_what_is_near(
    bids: list[tuple[int, int]], asks: list[tuple[int, int]], price: int
) -> None:
    own = [order(Side.BID, *each) for each in bids] + [order(Side.ASK, *each) for each in asks]
    found = quality(own, ForeignBook(), price * FINE, QUOTE_LOT)
    for side, orders in ((Side.BID, bids), (Side.ASK, asks)):
        near = [p * s * QUOTE_LOT for p, s in orders if abs(Decimal(p) / price - 1) <= Decimal("0.02")]
        assert found.present[side] == sum(near)
    if not bids or not asks:
        assert found.spread_bps is None
        assert not any(found.all[Side.BID] + found.all[Side.ASK])
        return
    best_bid, best_ask = max(bids)[0], min(asks)[0]
    middle = Decimal(best_bid + best_ask) / 2
    assert found.spread_bps == int(Decimal((best_ask - best_bid) * 20_000) // (best_bid + best_ask))
    for side, orders in ((Side.BID, bids), (Side.ASK, asks)):
        for band, lamports in zip(DEPTH_BANDS, found.own[side], strict=True):
            near = [p * s * QUOTE_LOT for p, s in orders if abs(p - middle) <= middle * band / 10_000]
            assert lamports == sum(near)


def test_foreign_depth_is_added_and_foreign_prices_make_the_middle() -> None:
    depth = tuple(Lamports(number) for number in (1, 2, 3, 4))
    book = ForeignBook(best_bid=Ticks(999), best_ask=Ticks(1_001), bid_depth=depth, ask_depth=depth)
    found = quality([order(Side.BID, 998, 10)], book, None, QUOTE_LOT)
    ours = 998 * 10 * QUOTE_LOT
    assert found.spread_bps == 20
    assert list(map(int, found.own[Side.BID])) == [ours] * 4
    assert list(map(int, found.all[Side.BID])) == [ours + int(each) for each in depth]
    assert found.all[Side.ASK] == depth
    assert found.present == {Side.BID: 0, Side.ASK: 0}
