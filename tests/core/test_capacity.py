"""How many levels fit: against counting up from one by brute force."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.core.capacity import capacity, check_levels, grid_levels, most_levels, room
from bmv.core.ladder import shares
from bmv.errors import BadInput
from bmv.model import ForeignBook, Side
from tests.core.belongings import market, quoting_state, settings, wallet


@given(
    st.integers(2, 500),
    st.integers(2, 500),
    st.integers(1, 30),
    st.integers(2, 96),
    st.integers(0, 90),
    st.sampled_from(["0.5", "1", "2", "4"]),
)
def test_the_largest_ladder_is_the_last_that_wallets_and_both_sides_have_room_for(
    bids: int, asks: int, wallets: int, seats: int, headroom: int, density: str
) -> None:
    spec = market(bids, asks)
    chosen = settings(ORDERS_PER_WALLET=seats, BOOK_HEADROOM=headroom, BUY_DENSITY=density)
    rooms = [room(side, spec, chosen) for side in Side]
    assert rooms == [bids - (bids * headroom + 99) // 100, asks - (asks * headroom + 99) // 100]
    fitting = [2]
    for levels in range(3, wallets * seats + 1):
        n_buy, n_sell = shares(levels, chosen.buy_density, chosen)
        if n_buy > rooms[0] or n_sell > rooms[1]:
            break
        fitting.append(levels)
    assert most_levels(spec, wallets, chosen) == fitting[-1]


@pytest.mark.parametrize(("wanted", "allowed"), [(4, True), (128, True), (129, False), (6_400, False)])
def test_more_levels_than_seats_are_refused_with_the_number(wanted: int, allowed: bool) -> None:
    chosen = settings(GRID_LEVELS=wanted)
    if allowed:
        check_levels(market(), 4, chosen)
    else:
        with pytest.raises(BadInput, match="at most 128: 4 wallets x ORDERS_PER_WALLET 32"):
            check_levels(market(), 4, chosen)


def test_more_levels_than_the_book_holds_beside_its_headroom_are_refused_with_the_number() -> None:
    # 455 orders a side less 20 %: 364 each; the default widths and density share evenly.
    check_levels(market(), 100, settings(GRID_LEVELS=728))
    with pytest.raises(BadInput, match=r"at most 728: .* 364 bids and 364 asks of ours beside the 20 %"):
        check_levels(market(), 100, settings(GRID_LEVELS=729))


def test_auto_is_as_many_as_fit_and_never_an_error() -> None:
    chosen = settings()
    check_levels(market(101, 101), 100, chosen)
    small = quoting_state([wallet(0)] * 1, spec=market(101, 101))
    assert grid_levels(small, chosen) == 32
    many = quoting_state([wallet(n) for n in range(100)], spec=market(101, 101))
    assert grid_levels(many, chosen) == 160
    assert grid_levels(many, settings(GRID_LEVELS=100)) == 100


@given(st.integers(0, 200))
def test_others_beyond_the_headroom_take_our_room(foreign: int) -> None:
    state = quoting_state([wallet(0)], spec=market(100, 50), book=ForeignBook(bid_orders=foreign))
    chosen = settings()
    assert capacity(Side.BID, state, chosen) == min(80, 100 - foreign)
    assert capacity(Side.ASK, state, chosen) == 40
