"""Sizes are bound to what stands while the market moves (SPEC 3.4: weights are bound to lattice points).

Rules of this file
- An order that stands is not made larger; what its level would get waits.
- One that is larger than SIZE_TOLERANCE allows is made REANCHOR smaller than its level asks for: a trend
  shall not write it anew at each step.
- The first order is not bound: it gets its level's size.
- No size exceeds what the ladder says, so budget and caps hold; standing, waiting and rest still add up.
"""

from collections.abc import Mapping

import msgspec

from bmv.config import Settings
from bmv.core.allocation import spent
from bmv.core.decay import BPS
from bmv.core.ladder import SideLadder
from bmv.core.plan import close_enough
from bmv.model import TOUCH, Clip, Level, MarketSpec
from bmv.units import BaseLots, Ticks

_BOUND = Clip.BOUND


def bound(
    ladder: SideLadder, standing: Mapping[Ticks, BaseLots], spec: MarketSpec, settings: Settings
) -> SideLadder:
    """Return the ladder with the sizes that its levels have while the market moves; ``standing`` by price."""
    if not ladder.levels:
        return ladder
    levels = tuple([_beside(level, standing.get(level.price), settings) for level in ladder.levels])
    used = spent(levels[0].side, levels, spec)
    waiting = ladder.waiting + ladder.standing - used
    return msgspec.structs.replace(ladder, levels=levels, standing=used, waiting=waiting)


def _beside(level: Level, there: BaseLots | None, settings: Settings) -> Level:
    """Return a level beside the order that stands at its price."""
    if there is None or level.point == TOUCH or there == level.size:
        return level
    size = there
    if there > level.size:
        if close_enough(there, level.size, settings):
            return level
        size = BaseLots(max(1, int(level.size) * BPS // (BPS + int(settings.reanchor))))
    return Level(level.side, level.point, level.price, size, level.why and level.why.cut_by(_BOUND))
