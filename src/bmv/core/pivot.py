"""The Pivot: volume-weighted price of all trades in the window, with a seed that fades exactly.

``Pivot = (Ps Vs k + sum p v) / (Vs k + sum v)``, where ``Vs`` is the window in days x daily volume and
``k = 1 - age / window`` (SPEC 3.2).

Rules of this file
- Sums are integers and exact; nothing is rounded before the one division at the end.
- A trade counts while it is younger than the window; so does each part of the seed.
- With no weight at all the last Pivot stands: the price of the newest trade that counted, else the seed's.
"""

from bisect import bisect_left
from collections import deque
from functools import lru_cache

import msgspec

from bmv.core.decay import BPS, FINE, ONE_BITS, POWER_BITS, exp2, log2
from bmv.model import Trade
from bmv.units import Bps, Millis

DAY_MS = 86_400_000
_WIDE_BITS = 40


@lru_cache(maxsize=16)
def _daily_log(move_bps: int) -> int:
    return log2(BPS + move_bps, BPS)


class _Moment(msgspec.Struct, frozen=True):
    """All trades of one millisecond: sum of price x size, and of size."""

    at: int
    notional: int
    volume: int


class PivotWindow:
    """Slide a window over the trades of the market and keep its sums.

    ``started`` is where recorded history begins: the first start, or the first back-filled trade if that is
    earlier, so what is recorded trade by trade never counts in the seed too. Mode pure is a seed of zero.
    """

    def __init__(self, window: Millis, seed_price_fine: int, seed_daily_lots: int, started: Millis) -> None:
        self.window = int(window)
        self.started = int(started)
        self.seed_price_fine = seed_price_fine
        self.seed_daily_lots = seed_daily_lots if seed_price_fine > 0 else 0
        self.now = int(started)
        self._moments: deque[_Moment] = deque()
        self._notional = 0
        self._volume = 0
        self._last = seed_price_fine if self.seed_daily_lots else None

    def add(self, trade: Trade) -> None:
        """Count a trade, in O(1) when trades come in order of time; one that is too old is left out."""
        at, notional, volume = int(trade.at), int(trade.price) * int(trade.size), int(trade.size)
        if at + self.window <= self.now or volume <= 0:
            return
        self._notional += notional
        self._volume += volume
        moments = self._moments
        if not moments or at > moments[-1].at:
            moments.append(_Moment(at, notional, volume))
            return
        place = bisect_left(moments, at, key=lambda moment: moment.at) if at < moments[-1].at else -1
        if moments[place].at == at:
            found = moments[place]
            moments[place] = _Moment(at, found.notional + notional, found.volume + volume)
        else:
            moments.insert(place, _Moment(at, notional, volume))

    def advance(self, now: Millis) -> None:
        """Drop what has become as old as the window; time never runs back."""
        self.now = max(self.now, int(now))
        moments = self._moments
        while moments and moments[0].at + self.window <= self.now:
            old = moments.popleft()
            self._notional -= old.notional
            self._volume -= old.volume
            if not moments:
                self._last = old.notional * FINE // old.volume

    def raw(self) -> tuple[int, int] | None:
        """Return the Pivot in fine ticks as an exact fraction, top and bottom; None without weight."""
        left = min(self.window, max(0, self.window - (self.now - self.started)))
        seed = self.seed_daily_lots * left
        weight = seed + self._volume * DAY_MS
        return (self.seed_price_fine * seed + self._notional * FINE * DAY_MS, weight) if weight else None

    def value_fine(self, now: Millis) -> int | None:
        """Return the Pivot at ``now`` in fine ticks, rounded down; None if there never was any weight."""
        self.advance(now)
        exact = self.raw()
        return exact[0] // exact[1] if exact else self._last


class CappedPivot:
    """Follow the raw Pivot by at most PIVOT_MAX_DAILY_MOVE a day, evenly (a guard against wash trades).

    The cap is a factor ``(1 + move) ** days`` up and its inverse down: the same however often it is asked.
    """

    def __init__(self) -> None:
        self.raw_fine: int | None = None
        self._at = 0
        self._wide = 0

    @property
    def value_fine(self) -> int | None:
        """Return the Pivot used for quoting in fine ticks; None until there was a raw one."""
        return None if self.raw_fine is None else self._wide >> _WIDE_BITS

    def step(self, raw_fine: int | None, now: Millis, max_daily_move: Bps) -> int | None:
        """Move towards ``raw_fine`` as far as the time since the last step allows; return the result."""
        if raw_fine is None:
            return self.value_fine
        goal = raw_fine << _WIDE_BITS
        if self.raw_fine is None:
            self._wide, self._at = goal, int(now)
        elapsed = max(0, int(now) - self._at)
        self.raw_fine, self._at = raw_fine, self._at + elapsed
        if goal != self._wide:
            # More than 20 doublings are no limit any more; bounding them keeps the numbers small.
            factor = exp2(min(_daily_log(int(max_daily_move)) * elapsed // DAY_MS, 20 << ONE_BITS))
            lowest, highest = (self._wide << POWER_BITS) // factor, self._wide * factor >> POWER_BITS
            self._wide = min(max(goal, lowest), highest)
        return self.value_fine
