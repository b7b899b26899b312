"""What the token is worth to the crowd: a price path outside the market, seeded or recorded.

Rules of this file
- Piecewise constant: a value holds until the next step, so that between steps nobody has a reason to act.
- Generated on demand and kept, so any moment may be asked in any order; equal seeds give equal paths.
- The engine never sees a reference; it sees only what the crowd does about it.

The synthetic path is a log-random walk whose steps come 20 to 60 s apart, under regimes that alternate:
calm and quiet (no drift, 4 % and 1.5 % volatility a day), trends up and down (4 % and +-5 % drift a day),
and jumps (2 to 6 % at one step). Over a month that makes a daily volatility of 4 to 6 %.
"""

import math
from bisect import bisect_right
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import NamedTuple, Protocol

from bmv.sandbox.prices import PricePath

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
STEP_MS = (20_000, 60_000)
JUMPS_PER_DAY = 0.4
JUMP_SIZE = (0.02, 0.06)
BUSY_AFTER_JUMP_MS = 2 * HOUR_MS
_PLACES = 12


class Regime(NamedTuple):
    """How the walk moves for a while: volatility and drift per day, hours it lasts, how busy takers are."""

    name: str
    volatility: float
    drift: float
    hours: tuple[float, float]
    weight: float
    activity: float


REGIMES = (
    Regime("calm", 0.04, 0.0, (3, 12), 0.45, 1.0),
    Regime("quiet", 0.015, 0.0, (2, 8), 0.25, 0.35),
    Regime("trend up", 0.04, 0.05, (3, 12), 0.15, 1.4),
    Regime("trend down", 0.04, -0.05, (3, 12), 0.15, 1.4),
)


class Reference(Protocol):
    """A path of prices outside the market; times are ms since 1970, prices SOL per token."""

    def price_at(self, ms: int) -> Decimal:
        """Return the price that holds at ``ms``."""
        ...

    def next_step(self, ms: int) -> int | None:
        """Return when the path next may move after ``ms``; None: never again."""
        ...

    def activity_at(self, ms: int) -> float:
        """Return how busy takers are at ``ms``; 1 is an ordinary hour."""
        ...


class SyntheticReference:
    """A seeded path from ``price`` at ``start_ms`` on."""

    def __init__(self, *, seed: int | str, start_ms: int, price: Decimal) -> None:
        self._random = Random(f"reference/{seed}")
        self._times = [start_ms]
        self._prices = [price]
        self._activities = [1.0]
        self._log = math.log(price)
        self._regime, self._regime_ends = REGIMES[0], start_ms
        self._busy_until = start_ms

    def price_at(self, ms: int) -> Decimal:
        """Return the price that holds at ``ms`` (the first one before the start)."""
        return self._prices[self._index(ms)]

    def activity_at(self, ms: int) -> float:
        """Return the regime's activity, raised for two hours after a jump."""
        return self._activities[self._index(ms)]

    def next_step(self, ms: int) -> int:
        """Return the time of the first step after ``ms``."""
        return self._times[self._index(ms) + 1]

    def _index(self, ms: int) -> int:
        while self._times[-1] <= ms:
            self._step()
        return max(0, bisect_right(self._times, ms) - 1)

    def _step(self) -> None:
        draw = self._random
        wait = draw.randint(*STEP_MS)
        now = self._times[-1] + wait
        if now >= self._regime_ends:
            self._regime = draw.choices(REGIMES, [regime.weight for regime in REGIMES])[0]
            self._regime_ends = now + int(draw.uniform(*self._regime.hours) * HOUR_MS)
        share = wait / DAY_MS
        self._log += self._regime.drift * share + draw.gauss(0, self._regime.volatility * math.sqrt(share))
        if draw.random() < JUMPS_PER_DAY * share:
            self._log += draw.choice((-1, 1)) * draw.uniform(*JUMP_SIZE)
            self._busy_until = now + BUSY_AFTER_JUMP_MS
        self._times.append(now)
        self._prices.append(Decimal(f"{math.exp(self._log):.{_PLACES}g}"))
        self._activities.append(max(self._regime.activity, 3.0 if now < self._busy_until else 0.0))


class RecordedReference:
    """A recorded path, its first row at ``start_ms``, played ``time_scale`` times as fast as the clock."""

    def __init__(self, path: PricePath, *, start_ms: int, time_scale: Decimal | int = 1) -> None:
        self._path, self._start, self._scale = path, start_ms, Fraction(time_scale)

    def price_at(self, ms: int) -> Decimal:
        """Return the recorded close that holds at ``ms``."""
        return self._path.price_at(self._recorded(ms))

    def next_step(self, ms: int) -> int | None:
        """Return when the next row begins."""
        times = self._path.times
        index = bisect_right(times, self._recorded(ms))
        if index == len(times):
            return None
        return self._start + math.ceil((times[index] - times[0]) / self._scale)

    def activity_at(self, ms: int) -> float:
        """Return 0.5 for a row that did not move, 1 for a move of 1 %, at most 3."""
        index = bisect_right(self._path.times, self._recorded(ms)) - 1
        move = abs(float(self._path.prices[index] / self._path.prices[max(0, index - 1)]) - 1)
        return min(3.0, 0.5 + 50 * move)

    def _recorded(self, ms: int) -> int:
        return self._path.times[0] + math.floor((ms - self._start) * self._scale)
