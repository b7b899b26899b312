"""Stepping in front of a rival: when, where to, how often, and how it ends."""

from hypothesis import given
from hypothesis import strategies as st

from bmv.config import Settings
from bmv.core.channel import Channel
from bmv.core.decay import FINE
from bmv.core.penny import front, may_move, moved
from bmv.core.price import PriceReading
from bmv.core.state import State
from bmv.model import TOUCH, ForeignBook, Level, Quote, Rival, Side, Why
from bmv.units import BaseLots, Millis, Ticks
from tests.core.belongings import later, order, quoting_state, settings, wallet

P = 100_000
CHOSEN = settings(PENNY_MIN_RATIO=0.5, PENNY_MAX_PER_HOUR=3)
ZONES = Channel(80_000 * FINE, 100_500 * FINE, 99_500 * FINE, 130_000 * FINE, 100_000 * FINE)


def rivals(*found: tuple[int, int]) -> tuple[Rival, ...]:
    return tuple(Rival(Ticks(price), BaseLots(size)) for price, size in found)


def world(bids: tuple[Rival, ...] = (), asks: tuple[Rival, ...] = (), best_ask: int | None = None) -> State:
    best = None if best_ask is None else Ticks(best_ask)
    state = quoting_state([wallet(0)], book=ForeignBook(best_ask=best, bid_rivals=bids, ask_rivals=asks))
    state.market.reading = PriceReading(P * FINE, "trades", True, P * FINE)
    state.market.channel = ZONES
    return state


def first(side: Side, price: int, size: int = 100, why: Why | None = None) -> Level:
    return Level(side, TOUCH, Ticks(price), BaseLots(size), why)


def stepped(state: State, level: Level | Quote, chosen: Settings = CHOSEN) -> int | None:
    price = front(state, chosen, level)
    return None if price is None else int(price)


def test_the_first_order_goes_one_tick_in_front_of_a_rival_of_its_size_or_half_of_it() -> None:
    assert stepped(world(rivals((99_600, 50))), first(Side.BID, 99_500)) == 99_601
    assert stepped(world(asks=rivals((100_400, 50))), first(Side.ASK, 100_500)) == 100_399


def test_dust_in_front_is_passed_over_and_a_rival_behind_is_none() -> None:
    assert stepped(world(rivals((99_700, 49))), first(Side.BID, 99_500)) is None
    assert stepped(world(rivals((99_700, 49), (99_600, 500))), first(Side.BID, 99_500)) == 99_601
    assert stepped(world(rivals((99_700, 49), (99_400, 500))), first(Side.BID, 99_500)) is None
    assert stepped(world(rivals((99_500, 500))), first(Side.BID, 99_500)) is None


def test_it_never_goes_nearer_than_the_tightest_spread() -> None:
    # MIN_SPREAD 0.5 %: bids at 99,750 at most, asks at 100,250 at least.
    for rival, expected in ((99_749, 99_750), (99_750, None), (99_900, None)):
        assert stepped(world(rivals((rival, 100))), first(Side.BID, 99_500)) == expected
    for rival, expected in ((100_251, 100_250), (100_250, None)):
        assert stepped(world(asks=rivals((rival, 100))), first(Side.ASK, 100_500)) == expected


def test_while_a_drawdown_has_widened_the_spread_nobody_is_passed() -> None:
    state = world(rivals((99_600, 100)), rivals((100_400, 100)))
    state.market.presence.widened = True
    assert stepped(state, first(Side.BID, 99_000)) is None
    assert stepped(state, first(Side.ASK, 101_000)) is None
    state.market.presence.widened = False
    assert stepped(state, first(Side.BID, 99_000)) == 99_601
    assert stepped(state, first(Side.ASK, 101_000)) == 100_399


def test_a_rival_outside_the_zone_is_none_of_ours() -> None:
    state = world(rivals((99_600, 100)))
    state.market.channel = Channel(80_000 * FINE, 99_599 * FINE, 99_599 * FINE, 130_000 * FINE, P * FINE)
    assert stepped(state, first(Side.BID, 99_500)) is None


def test_it_goes_through_nobody_on_the_other_side() -> None:
    foreign = world(rivals((99_600, 100)), best_ask=99_601)
    assert stepped(foreign, first(Side.BID, 99_500)) is None
    own = world(rivals((99_600, 100)))
    own.views[0] = wallet(0, orders=[order(0, Side.ASK, 99_601, 5)])
    assert stepped(own, first(Side.BID, 99_500)) is None
    own.views[0] = wallet(0, orders=[order(0, Side.ASK, 99_602, 5)])
    assert stepped(own, first(Side.BID, 99_500)) == 99_601
    own.target.quotes = (Quote(0, Side.ASK, TOUCH, Ticks(99_601), BaseLots(5)),)
    assert stepped(own, first(Side.BID, 99_500)) is None


def test_what_fills_left_of_our_order_does_not_make_dust_a_rival() -> None:
    # Built with 1,000 lots for 2 % of 5,000,000 lots; 3 are left.
    why = Why(rank=0, point=7, share_ppm=200, budget=5_000_000)
    state = world(asks=rivals((100_400, 499)))
    assert stepped(state, first(Side.ASK, 100_500, size=3, why=why)) is None
    state = world(asks=rivals((100_400, 500)))
    assert stepped(state, first(Side.ASK, 100_500, size=3, why=why)) == 100_399


@given(
    st.lists(st.tuples(st.integers(99_000, 100_000), st.integers(1, 300)), max_size=12),
    st.integers(99_000, 99_700),
    st.integers(1, 300),
)
def test_the_foremost_order_that_is_large_enough_is_the_rival_whatever_stands_around_it(
    orders: list[tuple[int, int]], price: int, size: int
) -> None:
    best_first = sorted(orders, reverse=True)
    staircase, largest = [], 0
    for each in best_first:
        if each[1] > largest:
            largest = each[1]
            staircase.append(each)
    large = [rival for rival, found in best_first if found * 2 >= size]
    ahead = large[0] if large and large[0] > price else None
    expected = None if ahead is None or ahead + 1 > 99_750 else ahead + 1
    assert stepped(world(rivals(*staircase)), first(Side.BID, price, size)) == expected


@given(st.lists(st.integers(0, 3 * 3_600_000), max_size=30))
def test_in_no_hour_are_there_more_moves_than_allowed(gaps: list[int]) -> None:
    state, now, made = world(), 0, list[int]()
    for gap in gaps:
        now += gap
        state.now = later(now)
        if may_move(state, CHOSEN):
            moved(state)
            made.append(now)
    for start in made:
        assert sum(start <= each < start + 3_600_000 for each in made) <= 3
    assert len(state.market.pennies) <= 3


def test_no_moves_an_hour_turns_it_off() -> None:
    assert not may_move(world(), settings(PENNY_MAX_PER_HOUR=0))
    assert later(0) > Millis(0)
