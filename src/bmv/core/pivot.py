"""The Pivot: volume-weighted price of all trades in the window, and what stands in for those not recorded.

- seeded: ``(Ps Vs k + sum p v) / (Vs k + sum v)``, ``Vs`` = the window in days x daily volume and
  ``k = 1 - age / window``; pure is a seed of zero.
- sol_fade_in: ``(1 - f) x SEED_USD_PRICE / S + f x VWAP``, ``S`` = average of SOL/USD over the window and
  ``f = age / FADE_IN_DAYS``, 0 while no trade is recorded (SPEC 3.2).

Rules of this file
- Sums are integers and exact; nothing is rounded before the one division at the end.
- A trade counts while it is younger than the window; so does each part of the seed.
- What is recorded trade by trade never counts in the seed too: a trade from before the start takes the place
  of the seed from its moment on.
- With no weight at all the last Pivot stands: the price of the newest moment that counted, else the seed's.
"""

from bisect import bisect_left
from collections import deque
from functools import lru_cache

import msgspec

from bmv.config import DAY_MS
from bmv.core.decay import BPS, FINE, ONE_BITS, POWER_BITS, exp2, log2
from bmv.model import Trade
from bmv.units import Bps, Millis

_WIDE_BITS = 40
Exact = tuple[int, int]
"""Top and bottom of a fraction."""
_Moment = tuple[int, int, int, int]
"""All trades of one millisecond: when, sum of price x size, of size, and of the size that was ours."""


@lru_cache(maxsize=16)
def _daily_log(move_bps: int) -> int:
    return log2(BPS + move_bps, BPS)


class Seed(msgspec.Struct, frozen=True):
    """What traded before records begin: so many lots a day at one price in fine ticks; nothing by default."""

    price_fine: int = 0
    daily_lots: int = 0


class SolFade(msgspec.Struct, frozen=True):
    """A price in dollars that gives way to the VWAP within ``fade`` of the first start.

    ``usd_fine`` is in fine ticks x micro-dollars per SOL: divided by SOL/USD it is a fine price.
    """

    usd_fine: int
    fade: Millis


class PivotWindow:
    """Slide a window over the trades of the market and keep its sums; ``started`` is the first start.

    Window and prior come with each reading, so they may change while running; what a shorter window has
    dropped does not come back.
    """

    def __init__(self, started: Millis) -> None:
        self.started = self.recorded_from = self.now = int(started)
        self._moments: deque[_Moment] = deque()
        self._notional = 0
        self._volume = 0
        self._own = 0
        self._last: _Moment | None = None

    @property
    def own_share(self) -> Exact:
        """Return the lots in the window that an order of ours traded, and all lots in it."""
        return self._own, self._volume

    def add(self, trade: Trade) -> None:
        """Count a trade, in O(1) when trades come in order of time."""
        volume = +trade.size
        if volume > 0:
            self.add_sum(+trade.at, +trade.price * volume, volume, volume if trade.own else 0)

    def add_sum(self, at: int, notional: int, volume: int, own: int) -> None:
        """Count trades of one moment, by their sums of price x size, of size, and of our own size."""
        self._notional += notional
        self._volume += volume
        self._own += own
        moments = self._moments
        if moments and at <= moments[-1][0]:
            self._add_late((at, notional, volume, own))
        else:
            moments.append((at, notional, volume, own))
        self.recorded_from = min(self.recorded_from, at)

    def _add_late(self, late: _Moment) -> None:
        """Put a trade that is not the newest in its place, or into the moment it belongs to."""
        moments = self._moments
        place = bisect_left(moments, late[0], key=lambda moment: moment[0])
        at, notional, volume, own = moments[place]
        if at == late[0]:
            moments[place] = at, notional + late[1], volume + late[2], own + late[3]
        else:
            moments.insert(place, late)

    def raw(
        self, now: Millis, window: Millis, prior: Seed | SolFade, sol_usd: Exact | None = None
    ) -> Exact | None:
        """Return the Pivot at ``now`` in fine ticks as an exact fraction; None where nothing says it.

        ``sol_usd`` is the average of SOL/USD over the window in micro-dollars, for ``SolFade``.
        """
        self._advance(+now, +window)
        if isinstance(prior, SolFade):
            return self._fading(prior, sol_usd)
        return self._seeded(prior, +window)

    def value_fine(
        self, now: Millis, window: Millis, prior: Seed | SolFade, sol_usd: Exact | None = None
    ) -> int | None:
        """Return the Pivot at ``now`` in fine ticks, rounded down, see ``raw``."""
        exact = self.raw(now, window, prior, sol_usd)
        return exact[0] // exact[1] if exact else None

    def _advance(self, now: int, window: int) -> None:
        """Drop what has become as old as the window; time never runs back."""
        self.now = now if now > self.now else self.now
        moments, horizon = self._moments, self.now - window
        while moments and moments[0][0] <= horizon:
            old = moments.popleft()
            self._notional -= old[1]
            self._volume -= old[2]
            self._own -= old[3]
            if self._last is None or old[0] >= self._last[0]:
                self._last = old

    def _traded(self) -> Exact | None:
        """Return the VWAP of the window, of the last moment that was in it while it is empty."""
        if self._volume:
            return self._notional * FINE, self._volume
        return (self._last[1] * FINE, self._last[2]) if self._last else None

    def _seeded(self, seed: Seed, window: int) -> Exact | None:
        lots = seed.daily_lots if seed.price_fine > 0 else 0
        seeded = lots * min(window, max(0, window - (self.now - self.recorded_from)))
        weight = seeded + self._volume * DAY_MS
        if weight:
            return seed.price_fine * seeded + self._notional * FINE * DAY_MS, weight
        return self._traded() or ((seed.price_fine, 1) if lots else None)

    def _fading(self, prior: SolFade, sol_usd: Exact | None) -> Exact | None:
        traded, fade = self._traded(), int(prior.fade)
        age = min(fade, self.now - self.started) if traded else 0
        top, bottom = traded or (0, 1)
        if age == fade:
            return top, bottom
        if sol_usd is None:
            return None
        usd, per = prior.usd_fine * sol_usd[1], sol_usd[0]
        return (fade - age) * usd * bottom + age * top * per, fade * per * bottom


class CappedPivot:
    """Follow the raw Pivot by at most PIVOT_MAX_DAILY_MOVE a day, evenly (a guard against wash trades).

    ``wide`` is the value with 40 more bits, as of ``at``.
    The cap is a factor ``(1 + move) ** days`` up and its inverse down: the same however often it is asked.
    """

    def __init__(self) -> None:
        self.raw_fine: int | None = None
        self.at = 0
        self.wide = 0

    @property
    def value_fine(self) -> int | None:
        """Return the Pivot used for quoting in fine ticks; None until there was a raw one."""
        return None if self.raw_fine is None else self.wide >> _WIDE_BITS

    def step(self, raw_fine: int | None, now: Millis, max_daily_move: Bps) -> int | None:
        """Move towards ``raw_fine`` as far as the time since the last step allows; return the result."""
        if raw_fine is None:
            return self.value_fine
        goal = raw_fine << _WIDE_BITS
        if self.raw_fine is None:
            self.wide, self.at = goal, int(now)
        elapsed = max(0, int(now) - self.at)
        self.raw_fine, self.at = raw_fine, self.at + elapsed
        if goal != self.wide:
            # More than 20 doublings are no limit any more; bounding them keeps the numbers small.
            factor = exp2(min(_daily_log(int(max_daily_move)) * elapsed // DAY_MS, 20 << ONE_BITS))
            lowest, highest = (self.wide << POWER_BITS) // factor, self.wide * factor >> POWER_BITS
            self.wide = min(max(goal, lowest), highest)
        return self.value_fine
