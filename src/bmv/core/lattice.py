"""The absolute price lattice: points on which levels stand, whatever the channel does (SPEC 3.4).

Rules of this file
- Point ``k`` lies at ``anchor x 2 ** ((k - ORIGIN) x step)``: a function of k alone, so an order inside a
  sliding zone keeps its price. Prices rise with k on both sides.
- ORIGIN keeps every index positive (``TOUCH`` is -1) and is divisible by any stride.
- A zone is half-open, ``low <= price < high``: as wide as n steps it holds n points.
- Points of a coarser stride are points of every finer one: the sets are nested.
"""

from functools import lru_cache
from itertools import chain

import msgspec

from bmv.core.decay import BPS, FINE, ONE_BITS, POWER_BITS, exp2, log2
from bmv.model import BID, Side
from bmv.units import Bps, Ticks

ORIGIN = 1 << 32
_BLOCK = 64
_ROUGH_BITS = 20


@lru_cache(maxsize=16)
def _first_powers(step: int) -> tuple[int, ...]:
    return tuple(exp2(step * offset) for offset in range(_BLOCK))


@lru_cache(maxsize=2048)
def _powers(step: int, block: int) -> tuple[int, ...]:
    """Return the factors of one block of points, in ``2**-POWER_BITS``."""
    start = exp2(step * block * _BLOCK)
    return tuple(start * power >> POWER_BITS for power in _first_powers(step))


class Lattice(msgspec.Struct, frozen=True):
    """The points of one side; ``step`` is the log2 of the ratio between neighbours, in ``1 / ONE``."""

    side: Side
    anchor_fine: int
    step: int

    @classmethod
    def anchored(cls, side: Side, anchor_fine: int, width: Bps, levels: int, band: Bps) -> "Lattice":
        """Lay ``levels`` points (at least 2) over the nominal zone, ends included; ``anchor_fine`` is one.

        The nominal zone is what the channel uses on an ordinary day: ``width`` (below its anchor for BUY,
        above for SELL) and the ``band`` by which F and the anchor may differ. Without the band a zone a
        little wider than nominal would lose every second level.
        """
        wide, apart = int(width), BPS + int(band)
        low, high = (BPS - wide, apart) if side is BID else (BPS * BPS, apart * (BPS + wide))
        return cls(side, anchor_fine, -(-log2(high, low) // (levels - 1)))

    def price_fine(self, point: int) -> int:
        """Return the exact place of a point in fine ticks, rounded down to one."""
        block, offset = divmod(point - ORIGIN, _BLOCK)
        return self.anchor_fine * _powers(self.step, block)[offset] >> POWER_BITS

    def price(self, point: int) -> Ticks:
        """Return the price of the level at a point: bids round down to a tick, asks up."""
        block, offset = divmod(point - ORIGIN, _BLOCK)
        return _prices(self, block)[offset]

    def prices(self, points: range) -> list[Ticks]:
        """Return the prices of the levels at rising ``points``, as ``price`` does."""
        if not points:
            return []
        (first, start), (last, end) = (divmod(point - ORIGIN, _BLOCK) for point in (points[0], points[-1]))
        found = list(chain.from_iterable(_prices(self, block) for block in range(first, last + 1)))
        return found[start : (last - first) * _BLOCK + end + 1 : points.step]

    def first_at(self, fine: int) -> int:
        """Return the lowest point whose price is at least ``fine`` (positive, fine ticks)."""
        # Near enough to begin with; the prices themselves have the last word.
        point = ORIGIN + (log2(fine, self.anchor_fine, _ROUGH_BITS) << ONE_BITS - _ROUGH_BITS) // self.step
        while self.price_fine(point) >= fine:
            point -= 1
        while self.price_fine(point) < fine:
            point += 1
        return point

    def points_in(self, low_fine: int, high_fine: int) -> range:
        """Return the points with ``low_fine <= price < high_fine``."""
        first = self.first_at(max(1, low_fine))
        return range(first, max(first, self.first_at(max(1, high_fine))))

    def fitted(self, zone: range, levels: int) -> range:
        """Return the zone's points divisible by 2^k, the smallest k that leaves ``levels`` or fewer.

        Where the zone has no more ticks than ``levels``, every tick may have its level and k is 0: several
        points on one tick are one level.
        """
        if not zone:
            return zone
        ticks = int(self.price(zone[-1])) - int(self.price(zone[0])) + 1
        stride = 1
        while (found := strided(zone, stride)) and len(found) > levels and ticks > levels:
            stride *= 2
        return found


@lru_cache(maxsize=2048)
def _prices(lattice: Lattice, block: int) -> tuple[Ticks, ...]:
    """Return the prices of one block of points."""
    fine = [lattice.anchor_fine * power >> POWER_BITS for power in _powers(lattice.step, block)]
    return tuple(Ticks(each // FINE if lattice.side is BID else -(-each // FINE)) for each in fine)


def strided(zone: range, stride: int) -> range:
    """Return those indices of ``zone`` that are divisible by ``stride``."""
    return range(-(-zone.start // stride) * stride, zone.stop, stride)
