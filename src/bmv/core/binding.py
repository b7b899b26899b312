"""Sizes are bound to what stands, so that a market that moves does not write them anew (SPEC 3.4).

Rules of this file
- An order that stands keeps its size while that is within SIZE_BAND of what its level asks for, larger or
  smaller. While the market moves nothing is made larger at all; what its level would get waits.
- A side never stands for more than its levels ask for. What is too much is taken where an order moves most
  money, from the outside inwards, and SIZE_MARGIN more of it than needed: a trend shall not write it again at
  each step.
- In calm, where more than SIZE_SLACK of what a side asks for is not in the book, the orders that lack most
  are made as large as their levels ask for, until half of that is there.
- Where the market has rested, what is off by more than REANCHOR is set anew, without a margin: a trend leaves
  no lasting bend.
- The first order is not bound: it gets its level's size.
- Standing, waiting and rest still add up to the budget.
"""

from collections.abc import Mapping, Sequence
from operator import mul

from bmv.config import Settings
from bmv.core.decay import BPS
from bmv.core.ladder import SideLadder
from bmv.model import BID, TOUCH, Clip, Level, MarketSpec
from bmv.units import BaseLots, Bps, Ticks

_BOUND = Clip.BOUND
_LOT = BaseLots(1)


def bound(
    ladder: SideLadder,
    standing: Mapping[Ticks, BaseLots],
    spec: MarketSpec,
    settings: Settings,
    *,
    calm: bool,
    rested: bool = False,
) -> SideLadder:
    """Return the ladder with the sizes that its levels have beside what stands; ``standing`` by price.

    ``rested`` (calm for long) asks for ``calm`` too.
    """
    if not ladder.levels:
        return ladder
    side, asked = ladder.levels[0].side, ladder.levels
    band, margin = (settings.reanchor, Bps(0)) if rested else (settings.size_band, settings.size_margin)
    sizes, least = _kept(asked, standing, BPS + int(band), BPS + int(margin), calm=calm)
    worth = [+level.price * spec.quote_lot_size for level in asked] if side is BID else [1] * len(asked)
    left = ladder.standing - sum(map(mul, sizes, worth))
    if left < 0:
        _shrink(sizes, least, worth, left)
    elif calm:
        slack = ladder.standing * int(settings.size_slack) // BPS
        _grow(sizes, [+level.size for level in asked], worth, left, slack)
    levels = [
        level if +level.size == size else _resized(level, size)
        for level, size in zip(asked, sizes, strict=True)
    ]
    used = sum(map(mul, sizes, worth))
    waiting = ladder.waiting + ladder.standing - used
    return SideLadder(tuple(levels), used, waiting, ladder.rest, ladder.weights)


def _kept(
    asked: Sequence[Level], standing: Mapping[Ticks, BaseLots], band: int, margin: int, *, calm: bool
) -> tuple[list[int], list[int]]:
    """Return the sizes beside what stands, and what each may be made where they come to too much."""
    sizes, least = [], []
    for level in asked:
        want, have = +level.size, +standing.get(level.price, 0)
        less = want if level.point == TOUCH else want * BPS // margin or 1
        if not have or level.point == TOUCH or (calm and have * band < want * BPS):
            size = want
        else:
            size = have if have * BPS <= want * band else want if calm else less
        sizes.append(size)
        least.append(less if size > want or not have else size)
    return sizes, least


def _shrink(sizes: list[int], least: Sequence[int], worth: Sequence[int], left: int) -> None:
    """Make sizes smaller from the outside inwards until ``left`` is no longer negative."""
    for index in reversed(range(len(sizes))):
        if left >= 0:
            return
        left += (sizes[index] - least[index]) * worth[index]
        sizes[index] = least[index]


def _grow(sizes: list[int], asked: Sequence[int], worth: Sequence[int], left: int, slack: int) -> None:
    """Where more than ``slack`` is ``left``, fill up what lacks most until no more than half of it is."""
    if left <= slack:
        return
    lacks = [(want - size) * each for want, size, each in zip(asked, sizes, worth, strict=True)]
    for index in sorted(range(len(sizes)), key=lacks.__getitem__, reverse=True):
        if 2 * left <= slack or lacks[index] <= 0:
            return
        if lacks[index] <= left:
            sizes[index] = asked[index]
            left -= lacks[index]


def _resized(level: Level, size: int) -> Level:
    return Level(level.side, level.point, level.price, size * _LOT, level.why and level.why.cut_by(_BOUND))
