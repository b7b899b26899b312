"""One side's ladder: which levels stand at which price and size, and what money waits (SPEC 3.4).

Rules of this file
- ``standing + waiting + rest == budget``, to the last lamport (bids) or lot (asks); never more than that.
- Weights span the whole zone. Levels that may not stand yet (inside the touch, beyond P) are left out and
  their share waits. ``rest`` is rounding: less than one lot of the cheapest level that stands.
- Bids lie strictly below P and the best foreign ask, asks strictly above P and the best foreign bid.
- Levels run from the inside outwards, no two on one tick, none below one lot.
- Shares are exact fractions of integers; whole lots go by largest remainder.
"""

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, repeat
from operator import mul
from typing import NamedTuple

import msgspec

from bmv.config import Settings
from bmv.core.channel import standable
from bmv.core.decay import BPS, FINE, ONE, ONE_BITS, POWER_BITS, exp2, log2
from bmv.core.lattice import Lattice
from bmv.model import BID, TOUCH, Clip, Level, Why
from bmv.units import BaseLots, Bps, Lamports, Ticks

MAX_DENSITY = Bps(40_000)
DENSITY_HYSTERESIS = Bps(1_000)
PACE_FLOOR_BPS = 500
PACE_STEPS = 4
_PPM = 1_000_000
_LOT = BaseLots(1)


class Weights(msgspec.Struct, frozen=True):
    """The shape of a side's sizes: log2 of their growth per lattice point outwards, in ``1 / ONE``.

    On a geometric lattice an exponential keeps its shape wherever the zone slides; only its width bends it.
    """

    per_point: int


class Zone(msgspec.Struct, frozen=True):
    """What a side is built from; ``budget`` is lamports for bids and base lots for asks.

    ``price_fine`` is P, ``opposite`` the best foreign price of the other side, ``levels`` this side's share
    of GRID_LEVELS, ``size_ratio`` the outermost size over the innermost, ``clip`` what cut budget or levels.
    Where the zone is ``binding``, the first order may not stand outside it either.
    """

    lattice: Lattice
    low_fine: int
    high_fine: int
    levels: int
    budget: int
    price_fine: int
    opposite: Ticks | None
    spread: Bps
    size_ratio: Bps
    reanchor: Bps
    quote_lot_size: int
    clip: Clip = Clip.NONE
    binding: bool = False


class SideLadder(msgspec.Struct, frozen=True):
    """A side as wanted; ``standing``, ``waiting`` and ``rest`` add up to the budget, in its unit."""

    levels: tuple[Level, ...]
    standing: int
    waiting: int
    rest: int
    weights: Weights


class _Rungs(NamedTuple):
    """Levels before they have sizes, from the inside outwards, in columns.

    ``places`` are the lattice points in whose place they stand, ``costs`` what one lot takes from the budget,
    ``needs`` what it takes with a lot for each unit of the weight.
    """

    places: Sequence[int]
    prices: Sequence[Ticks]
    costs: Sequence[int]
    weights: Sequence[int]
    needs: Sequence[int]

    @classmethod
    def of(
        cls, places: Sequence[int], prices: Sequence[Ticks], costs: Sequence[int], weights: Sequence[int]
    ) -> "_Rungs":
        """Put columns together."""
        return cls(places, prices, costs, weights, list(map(mul, costs, weights)))

    def at(self, rows: Sequence[int], weights: Sequence[int]) -> "_Rungs":
        """Return some of them, with these weights."""
        places, prices, costs, *_ = self
        return _Rungs.of(
            [places[n] for n in rows], [prices[n] for n in rows], [costs[n] for n in rows], weights
        )


def stepped_density(wanted: Bps, base: Bps, held: Bps | None = None) -> Bps:
    """Return ``base`` x 2^n nearest to ``wanted`` on a log scale, n >= 0, doubled up to 4.0 at most.

    A step that is ``held`` stays until ``wanted`` is more than DENSITY_HYSTERESIS beyond half a step from it.
    """
    steps = [int(base)]
    while 2 * steps[-1] <= int(MAX_DENSITY):
        steps.append(2 * steps[-1])
    if held is not None and int(held) in steps:
        # Half a step is a factor of the root of 2.
        edge = 2 * (BPS + int(DENSITY_HYSTERESIS)) ** 2
        low = held == base or edge * int(wanted) ** 2 >= (int(held) * BPS) ** 2
        high = int(held) == steps[-1] or (int(wanted) * BPS) ** 2 <= edge * int(held) ** 2
        if low and high:
            return held
    return Bps(next((step for step in steps if int(wanted) ** 2 <= 2 * step**2), steps[-1]))


def shares(levels: int, density: Bps, settings: Settings) -> tuple[int, int]:
    """Share ``levels`` as (buy width x ``density``) to sell width; at least one each."""
    buy = int(settings.buy_channel_width) * int(density)
    both = buy + int(settings.sell_channel_width) * BPS
    n_buy = min(max(1, (2 * levels * buy + both) // (2 * both)), levels - 1)
    return n_buy, levels - n_buy


def exposure_cap(base_value: Lamports, sol: Lamports, usdc_value: Lamports, max_share: Bps) -> Lamports:
    """Return what all bids may cost so that, all filled, the base bought stays within MAX_BASE_SHARE.

    ``base_value`` is the net base bought by the engine at P, ``usdc_value`` is in lamports too. Bids count at
    what they cost: the last of them fills with the price at or below it, where all of them are worth no more.
    """
    base = max(0, int(base_value))
    return Lamports((base + int(sol) + int(usdc_value)) * int(max_share) // BPS - base)


def pace_step(sol: Lamports, paid: Lamports, settings: Settings, held: int | None = None) -> int:
    """Return the pace of buying in quarters for S = ``sol`` and X = ``paid`` (SOL paid net, decayed).

    The pace ``c = 1 - X / (BUY_PACE x (S + X))`` is rounded up to quarters and clamped to [0, 1]. It falls at
    once; from the quarters ``held`` it rises where c lies BUY_PACE_MARGIN beyond them: it shall not flap.
    """
    spent = max(0, int(paid))
    full = int(settings.buy_pace) * (max(0, int(sol)) + spent) or 1
    used, kept = spent * BPS * BPS, int(settings.buy_pace_margin) * full
    step, sure = (
        PACE_STEPS - min(PACE_STEPS, PACE_STEPS * each // (full * BPS)) for each in (used, used + kept)
    )
    return step if held is None else min(step, max(held, sure))


def pace_credit(sol: Lamports, settings: Settings) -> Lamports:
    """Return what asks may have received beyond what bids paid and still count: a quarter of the pace."""
    return Lamports(int(sol) * int(settings.buy_pace) // (PACE_STEPS * BPS))


def buy_budget(sol: Lamports, cap: Lamports, quarters: int) -> Lamports:
    """Return ``max(0, min(S x max(5 %, c), cap))`` for S = ``sol`` and c = ``quarters`` / 4."""
    share = max(PACE_FLOOR_BPS, quarters * BPS // PACE_STEPS)
    return Lamports(max(0, min(int(sol) * share // BPS, int(cap))))


def sell_budget(
    tokens: BaseLots, equity: Lamports, price_fine: int, quote_lot_size: int, min_share: Bps
) -> BaseLots:
    """Return the lots above the stock that is never sold, MIN_BASE_SHARE of ``equity`` at P (rounded up)."""
    kept = -(-int(min_share) * max(0, int(equity)) * FINE // (BPS * price_fine * quote_lot_size))
    return BaseLots(max(0, int(tokens) - kept))


def build_side(zone: Zone, weights: Weights | None = None) -> SideLadder:
    """Build one side; ``weights`` is the shape of the last build, kept unless off by more than REANCHOR.

    The first order stands at the touch, ``P x (1 -+ spread / 2)`` rounded outwards, or at the nearest price
    of a binding zone, in the place of the lattice level nearest to it; levels further inside wait.
    """
    inside = zone.lattice.points_in(zone.low_fine, zone.high_fine)
    weights = _bound(weights, len(inside), zone)
    touch = _touch(zone)
    if touch is None:
        return SideLadder((), 0, zone.budget, 0, weights)
    rungs = _rungs(zone, zone.lattice.fitted(inside, zone.levels), weights)
    standing, waiting = _split(zone, rungs, touch)
    needed = sum(standing.needs)
    whole = needed + sum(waiting.needs)
    share = -(-zone.budget * needed // whole)
    merged = _merged(standing, share, needed)
    lots = _whole_lots(merged, share)
    used = sum(map(mul, merged.costs, lots))
    return SideLadder(_levels(zone, merged, lots, whole), used, zone.budget - share, share - used, weights)


def _levels(zone: Zone, rungs: _Rungs, lots: list[int], whole: int) -> tuple[Level, ...]:
    """Return the levels of the rungs that got lots, with their reasons; the first stands at the touch."""
    side, budget, clip, first = zone.lattice.side, zone.budget, zone.clip, _touch_clip(zone, rungs.prices[0])
    points = [TOUCH, *rungs.places[1:]]
    rows = [row for row in zip(points, *rungs[:2], rungs.needs, lots, strict=True) if row[-1]]
    levels = [
        Level(
            side,
            point,
            price,
            size * _LOT,
            Why(rank, place, need * _PPM // whole, budget, first if point == TOUCH else clip),
        )
        for rank, (point, place, price, need, size) in enumerate(rows)
    ]
    return tuple(levels)


def _touch_clip(zone: Zone, price: Ticks) -> Clip:
    """Return what cut the first order, or moved it from where it would stand by itself."""
    free = _free_touch(zone)
    if zone.clip or price == free:
        return zone.clip
    inside = not zone.binding or zone.low_fine <= free * FINE <= zone.high_fine
    return Clip.FOREIGN_BOOK if inside else Clip.ZONE


def _bound(weights: Weights | None, points: int, zone: Zone) -> Weights:
    """Return the bound shape, or a new one where its ends miss ``size_ratio`` by more than REANCHOR."""
    wanted = log2(int(zone.size_ratio), BPS)
    off = log2(BPS + int(zone.reanchor), BPS)
    if weights is not None and abs(weights.per_point * points - wanted) <= off:
        return weights
    return Weights(wanted // max(1, points))


def _touch(zone: Zone) -> Ticks | None:
    """Return the price of the first order; None where no price is left for it."""
    borders = (zone.low_fine, zone.high_fine) if zone.binding else None
    lowest, highest = standable(zone.lattice.side, zone.price_fine, zone.opposite, borders)
    return Ticks(min(max(_free_touch(zone), lowest), highest)) if lowest <= highest else None


def _free_touch(zone: Zone) -> int:
    """Return where the first order would stand if nobody else were there."""
    doubled = 2 * BPS * FINE
    if zone.lattice.side is BID:
        return zone.price_fine * (2 * BPS - int(zone.spread)) // doubled
    return -(-zone.price_fine * (2 * BPS + int(zone.spread)) // doubled)


@lru_cache(maxsize=16)
def _growing(log: int, count: int) -> tuple[int, ...]:
    """Return ``count`` weights from ONE on, each 2**``log`` times the one before."""
    growth = exp2(log) >> POWER_BITS - ONE_BITS
    return tuple(
        accumulate(repeat(growth, count - 1), lambda weight, by: weight * by >> ONE_BITS, initial=ONE)
    )


def _rungs(zone: Zone, points: range, shape: Weights) -> _Rungs:
    """Return the zone's levels from the inside outwards, one per tick: of several points the innermost."""
    places, prices, bid = list(points), zone.lattice.prices(points), zone.lattice.side is BID
    if bid:
        places.reverse()
        prices.reverse()
    # Weights are made for more than there are, so that a zone that slides finds them again.
    weights = _growing(shape.per_point * points.step, 1 << len(points).bit_length())[: len(points)]
    costs = [+price * zone.quote_lot_size for price in prices] if bid else [1] * len(prices)
    ticks = set(prices)
    rungs = _Rungs.of(places, prices, costs, weights)
    if len(ticks) == len(prices) and Ticks(0) not in ticks:
        return rungs
    kept = [n for n, price in enumerate(prices) if price and price not in prices[n - 1 : n]]
    return rungs.at(kept, [weights[n] for n in kept])


def _split(zone: Zone, rungs: _Rungs, touch: Ticks) -> tuple[_Rungs, _Rungs]:
    """Put the touch in the place of the nearest rung (the inner of two); return what stands, what waits.

    All that lies outside of it stands, all that lies inside waits.
    """
    places, prices, costs, weights, needs = rungs
    bid = zone.lattice.side is BID
    cost = int(touch) * zone.quote_lot_size if bid else 1
    if not prices:
        return _Rungs.of([TOUCH], [touch], [cost], [ONE]), rungs
    outwards = -1 if bid else 1
    behind = bisect_left(prices, int(touch) * outwards, key=lambda price: int(price) * outwards)
    near = range(max(0, behind - 1), min(behind + 1, len(prices)))
    nearest = min(near, key=lambda n: abs(prices[n] - touch))
    inner, outer = slice(nearest), slice(nearest + 1, None)
    weight = weights[nearest]
    return (
        _Rungs(
            places[nearest:],
            [touch, *prices[outer]],
            [cost, *costs[outer]],
            weights[nearest:],
            [cost * weight, *needs[outer]],
        ),
        _Rungs(places[inner], prices[inner], costs[inner], weights[inner], needs[inner]),
    )


def _merged(rungs: _Rungs, budget: int, needed: int) -> _Rungs:
    """Join what would get less than one lot with its outer neighbour; a group with the touch stands there.

    A group keeps its money, not its lots: those of outer bids are cheaper, and at the touch they would cost
    the others, and the touch itself, the lot that each has here.
    """
    if min(rungs.weights) * budget >= needed:
        return rungs
    kept: list[int] = []
    weights: list[int] = []
    money = 0
    for n, need in enumerate(rungs.needs):
        money += need
        group = n if kept else 0
        weight = money // rungs.costs[group]
        if weight * budget >= needed:
            kept.append(group)
            weights.append(weight)
            money = 0
    if not kept:
        kept, weights = [0], [0]
    # Less than a lot is left over at the end: it joins the last group.
    weights[-1] += money // rungs.costs[kept[-1]]
    return rungs.at(kept, weights)


def _whole_lots(rungs: _Rungs, budget: int) -> list[int]:
    """Share ``budget`` by weight in whole lots: floors, then one lot each in order of the remainders."""
    costs, needed = rungs.costs, sum(rungs.needs)
    shared = [divmod(budget * weight, needed) for weight in rungs.weights]
    lots = [whole for whole, _ in shared]
    rest = budget - sum(map(mul, costs, lots))
    cheapest = min(costs)
    remainders = [left for _, left in shared]
    order = sorted(range(len(lots)), key=remainders.__getitem__, reverse=True)
    while rest >= cheapest:
        for n in order:
            if costs[n] <= rest:
                lots[n] += 1
                rest -= costs[n]
    return lots
