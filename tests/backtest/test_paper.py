"""The market on paper fills what its model says, keeps money, and refuses what cannot be."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.backtest.paper import ChangeFailed, Model, Paper, Purse
from bmv.core.decay import FINE
from bmv.errors import OwnCross
from bmv.events import Execute
from bmv.model import Cancel, Placement, Side
from bmv.units import BaseLots, Bps, Millis, Ticks
from tests.core.belongings import market

MARKET = market()
LOT = MARKET.quote_lot_size
RICH = Purse(0, 10**15, 10**9)


def place(side: Side, price: int, size: int, client_id: int = 1, wallet: int = 0) -> Placement:
    return Placement(wallet, side, 0, Ticks(price), BaseLots(size), client_id)


def paper(*places: Placement, model: Model = "through", edge: int = 0, queue: int = 0) -> Paper:
    made = Paper(MARKET, [replace(RICH)], model, queue, Bps(edge))
    made.execute(Execute(1, 0, (), places), None, None)
    return made


def meet(made: Paper, price: int, size: int = 0) -> list[tuple[int, int]]:
    return [(int(f.price), int(f.size)) for f in made.meet(price * FINE, size, Millis(1), 1)]


def test_through_needs_a_print_beyond_the_price_and_touch_one_at_it() -> None:
    assert meet(paper(place(Side.BID, 100, 5)), 100) == []
    assert meet(paper(place(Side.BID, 100, 5)), 99) == [(100, 5)]
    assert meet(paper(place(Side.BID, 100, 5), model="touch"), 100) == [(100, 5)]
    assert meet(paper(place(Side.ASK, 100, 5)), 101) == [(100, 5)]


def test_in_a_queue_those_before_us_trade_first_and_a_print_beyond_takes_us_all() -> None:
    queued = paper(place(Side.BID, 100, 5), model="queue", queue=7)
    assert meet(queued, 100, 4) == []
    assert meet(queued, 100, 5) == [(100, 2)]
    assert meet(queued, 99, 9) == [(100, 3)]


def test_within_the_edge_nobody_comes() -> None:
    made = paper(place(Side.BID, 10_000, 5), edge=50)
    assert meet(made, 9_960) == []
    assert meet(made, 9_949) == [(10_000, 5)]


prices = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 9)), max_size=8, unique_by=lambda each: each[0]
)


@given(prices, prices, st.integers(1, 80), st.integers(0, 30))
def test_fills_are_those_of_a_plain_walk_down_the_book(
    bids: list[tuple[int, int]], asks: list[tuple[int, int]], price: int, size: int
) -> None:
    orders = [(Side.BID, at, lots) for at, lots in bids] + [(Side.ASK, at + 40, lots) for at, lots in asks]
    made = paper(*(place(side, at, lots, number) for number, (side, at, lots) in enumerate(orders, 1)))
    before = made.purses[0].quote, made.purses[0].base
    left, expected = size or 10**9, []
    reached = [o for o in orders if (o[1] > price if o[0] is Side.BID else o[1] < price)]
    for side, at, lots in sorted(reached, key=lambda o: -o[1] if o[0] is Side.BID else o[1]):
        gone = min(left, lots)
        left -= gone
        expected += [(side, at, gone)] if gone else []
    fills = made.meet(price * FINE, size, Millis(1), 1)
    assert [(f.side, int(f.price), int(f.size)) for f in fills] == expected
    bought = sum((gone if side is Side.BID else -gone) for side, _, gone in expected)
    paid = sum((gone if side is Side.BID else -gone) * at * LOT for side, at, gone in expected)
    assert (made.purses[0].quote, made.purses[0].base) == (before[0] - paid, before[1] + bought)
    view = made.view(0)
    assert int(view.quote_total) == made.purses[0].quote
    whole = {(side, at): lots for side, at, lots in orders}
    assert len(view.orders) == len(orders) - sum(whole[side, at] == gone for side, at, gone in expected)


def test_a_change_that_cannot_be_paid_leaves_no_trace() -> None:
    made = Paper(MARKET, [Purse(0, 100 * LOT, 3)], "through")
    made.execute(Execute(1, 0, (), (place(Side.BID, 10, 5),)), None, None)
    kept = [order.number for order in made.bids]
    cancel = Cancel(0, Side.BID, Ticks(10), kept[0], 1)
    with pytest.raises(ChangeFailed):
        made.execute(Execute(2, 0, (cancel,), (place(Side.BID, 10, 11, 2),)), None, None)
    with pytest.raises(ChangeFailed):
        made.execute(Execute(3, 0, (), (place(Side.ASK, 50, 4, 3),)), None, None)
    assert [order.number for order in made.bids] == kept


def test_what_would_take_is_dropped_and_what_would_meet_our_own_is_a_defect() -> None:
    made = paper(place(Side.BID, 100, 5), place(Side.ASK, 120, 5, 2))
    made.execute(Execute(2, 0, (), (place(Side.BID, 110, 1, 3),)), 90, 110)
    assert (made.dropped, len(made.bids)) == (1, 1)
    with pytest.raises(OwnCross):
        made.execute(Execute(3, 0, (), (place(Side.BID, 120, 1, 4),)), None, None)
