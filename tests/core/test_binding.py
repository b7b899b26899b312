"""Sizes bound to what stands: nothing grows while the market moves, few writes move much, all adds up."""

from itertools import pairwise
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from bmv.core.binding import bound
from bmv.core.ladder import SideLadder, Weights
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


SIZES = st.lists(st.tuples(st.integers(1, 10_000), st.integers(0, 30_000)), min_size=1, max_size=9)
BAND, SLACK = 2, 0.2
"""The defaults: a factor of two either way, a fifth may be missing."""


class Bound(NamedTuple):
    """A ladder before and after; ``each`` pairs what a level asked for, what stood there, what it has now."""

    free: SideLadder
    found: SideLadder
    each: list[tuple[int, int, int]]

    @property
    def left(self) -> int:
        """Return what the levels asked for and have not got."""
        return self.free.standing - self.found.standing


def binding(side: Side, sizes: list[tuple[int, int]], *, calm: bool, rested: bool = False) -> Bound:
    """Bind a ladder to what stands and check what holds in every market."""
    free = ladder(side, [size for size, _ in sizes])
    there = {each.price: BaseLots(size) for each, (_, size) in zip(free.levels, sizes, strict=True) if size}
    found = bound(free, there, market(), SETTINGS, calm=calm, rested=rested)
    assert [each.price for each in found.levels] == [each.price for each in free.levels]
    assert found.levels[0] == free.levels[0]
    assert found.standing == money(found.levels) <= free.standing
    assert found.standing + found.waiting + found.rest == free.standing + free.waiting + free.rest
    for was, now in zip(free.levels, found.levels, strict=True):
        assert (now.size != was.size) == (now.why is not None and now.why.clip is Clip.BOUND)
    after = (int(level.size) for level in found.levels)
    return Bound(free, found, [(want, have, now) for (want, have), now in zip(sizes, after, strict=True)][1:])


def less(want: int) -> int:
    """Return what a level gets that is written anew although there is too little."""
    return max(1, want * 10 // 16)


@given(st.sampled_from(list(Side)), SIZES)
def test_while_the_market_moves_nothing_that_stands_is_made_larger(
    side: Side, sizes: list[tuple[int, int]]
) -> None:
    for want, have, now in binding(side, sizes, calm=False).each:
        if not have:
            assert now in (want, less(want))
        else:
            # Kept, or too large, by itself or for the side, and then made smaller by the margin.
            assert now == have <= BAND * want or (now == less(want) and have > want)


@given(st.sampled_from(list(Side)), SIZES)
def test_what_a_side_has_too_much_of_is_taken_from_the_outside_and_no_more_than_it_takes(
    side: Side, sizes: list[tuple[int, int]]
) -> None:
    seen = binding(side, sizes, calm=False)
    # What would stand if each level were judged alone.
    alone = [have if 0 < have <= BAND * want else less(want) if have else want for want, have, _ in seen.each]
    taken = [index for index, (_, _, now) in enumerate(seen.each) if now != alone[index]]
    for inner, outer in pairwise(taken):
        # Between two that were taken from stands nothing that could have been.
        assert all(alone[at] <= seen.each[at][0] and seen.each[at][1] for at in range(inner + 1, outer))
    if taken:
        given_back = alone[taken[0]] - seen.each[taken[0]][2]
        worth = int(seen.free.levels[taken[0] + 1].price) * QUOTE_LOT if side is Side.BID else 1
        assert seen.left < given_back * worth


@given(st.sampled_from(list(Side)), SIZES)
def test_in_calm_sizes_lie_within_the_band_and_no_more_than_the_slack_is_missing(
    side: Side, sizes: list[tuple[int, int]]
) -> None:
    seen = binding(side, sizes, calm=True)
    worth = [int(level.price) * QUOTE_LOT if side is Side.BID else 1 for level in seen.free.levels][1:]
    missing = [(want - now) * each for (want, _, now), each in zip(seen.each, worth, strict=True)]
    for want, have, now in seen.each:
        kept = now == have and want <= BAND * have and have <= BAND * want
        assert kept or now == want or (now == less(want) and (not have or have > want))
    shrunk = any(now < min(want, have or want) for want, have, now in seen.each)
    if seen.left > SLACK * seen.free.standing and not shrunk:
        # What still lacks is more than there is, as others stand for too much.
        assert all(gap <= 0 or gap > seen.left for gap in missing)


@given(st.sampled_from(list(Side)), SIZES)
def test_where_the_market_has_rested_each_size_is_within_reanchor_of_what_its_level_asks_for(
    side: Side, sizes: list[tuple[int, int]]
) -> None:
    seen = binding(side, sizes, calm=True, rested=True)
    for want, have, now in seen.each:
        assert now == want or (now == have and 10 * want <= 13 * have and 10 * have <= 13 * want)


def test_a_bound_level_says_that_the_market_moves() -> None:
    free = ladder(Side.ASK, [100, 100, 100, 100])
    there = {Ticks(10_001): BaseLots(60), Ticks(10_002): BaseLots(201), Ticks(10_003): BaseLots(130)}
    found = bound(free, there, market(), SETTINGS, calm=False)
    assert [int(each.size) for each in found.levels] == [100, 60, 62, 130]
    assert [each.why.clip for each in found.levels if each.why] == [Clip.NONE, *[Clip.BOUND] * 3]
    assert (found.standing, found.waiting, found.rest) == (352, 77 + 48, 5)


def test_in_calm_what_lacks_most_is_filled_up_first_and_only_until_half_the_slack_is_left() -> None:
    free = ladder(Side.ASK, [100, 100, 100, 100])
    there = {Ticks(10_001): BaseLots(70), Ticks(10_002): BaseLots(50), Ticks(10_003): BaseLots(90)}
    found = bound(free, there, market(), SETTINGS, calm=True)
    assert [int(each.size) for each in found.levels] == [100, 70, 100, 90]
    near = bound(free, there | {Ticks(10_002): BaseLots(60)}, market(), SETTINGS, calm=True)
    assert [int(each.size) for each in near.levels] == [100, 70, 60, 90]
