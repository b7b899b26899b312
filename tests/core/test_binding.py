"""Sizes bound to what stands while the market moves: nothing grows, nothing is written twice, all adds up."""

from hypothesis import given
from hypothesis import strategies as st

from bmv.core.binding import bound
from bmv.core.ladder import SideLadder, Weights
from bmv.core.plan import close_enough
from bmv.model import TOUCH, Clip, Level, Side, Why
from bmv.units import BaseLots, Ticks
from tests.core.belongings import QUOTE_LOT, market, settings

SETTINGS = settings()
WHY = Why(1, 5, 10, 1_000)


def ladder(side: Side, sizes: list[int]) -> SideLadder:
    """Return a side whose first order is the touch, a tick between the levels."""
    outwards = -1 if side is Side.BID else 1
    levels = tuple(
        Level(side, number or TOUCH, Ticks(10_000 + outwards * number), BaseLots(size), WHY)
        for number, size in enumerate(sizes)
    )
    return SideLadder(levels, money(levels), 77, 5, Weights(0))


def money(levels: tuple[Level, ...]) -> int:
    return sum(
        int(each.size) * (int(each.price) * QUOTE_LOT if each.side is Side.BID else 1) for each in levels
    )


@given(
    st.sampled_from(list(Side)),
    st.lists(st.tuples(st.integers(1, 10_000), st.integers(0, 10_000)), min_size=1, max_size=9),
)
def test_no_size_exceeds_the_ladders_nor_what_stands_and_the_money_still_adds_up(
    side: Side, sizes: list[tuple[int, int]]
) -> None:
    free = ladder(side, [size for size, _ in sizes])
    there = {each.price: BaseLots(size) for each, (_, size) in zip(free.levels, sizes, strict=True) if size}
    found = bound(free, there, market(), SETTINGS)
    assert [each.price for each in found.levels] == [each.price for each in free.levels]
    assert found.levels[0] == free.levels[0]
    for was, now in zip(free.levels[1:], found.levels[1:], strict=True):
        stands = there.get(was.price, was.size)
        assert BaseLots(1) <= now.size <= was.size
        assert now.size <= max(stands, BaseLots(1))
        # Either the order that stands is kept, or it was too large and will do for REANCHOR.
        kept = close_enough(stands, now.size, SETTINGS)
        assert kept or (not close_enough(stands, was.size, SETTINGS) and stands > was.size)
        assert kept or int(now.size) == max(1, int(was.size) * 10_000 // 13_000)
        assert now.size == was.size or (now.why and now.why.clip is Clip.BOUND)
    assert found.standing == money(found.levels)
    assert found.standing + found.waiting + found.rest == free.standing + free.waiting + free.rest


def test_a_bound_level_says_that_the_market_moves() -> None:
    free = ladder(Side.ASK, [100, 100, 100])
    there = {Ticks(10_001): BaseLots(60), Ticks(10_002): BaseLots(126)}
    found = bound(free, there, market(), SETTINGS)
    assert [int(each.size) for each in found.levels] == [100, 60, 76]
    assert [each.why.clip for each in found.levels if each.why] == [Clip.NONE, Clip.BOUND, Clip.BOUND]
    assert (found.standing, found.waiting, found.rest) == (236, 77 + 64, 5)
