"""What SOL costs in dollars, and its averages over time, exact in integers.

Rules of this file
- A price holds from the moment it is told until the next one, through an outage too.
- An average covers the part of its window that is known; it is a fraction of integers, nothing is rounded.
- Of what happened inside one cell of ``grain`` only the sum is kept, so a year of prices stays small: where
  the window begins inside a cell, the cell counts at its average. With a grain of 1 ms nothing is lost.
- Everything is O(1), amortised over the prices told.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from bmv.config import HOUR_MS
from bmv.units import MicroUsd, Millis, UsdPerSol

EXACT, MINUTE, HOUR = Millis(1), Millis(60_000), Millis(HOUR_MS)


class _Piece(NamedTuple):
    """A time that is over: its end, its length, and the sum of value x time in it."""

    end: int
    length: int
    area: int


class SlidingAverage:
    """The time average of a value that changes in steps, over the last ``window`` before any moment.

    Values may be told for the past as long as they come in order of time (imported history, then the live
    price). A shorter window drops what it does not cover; a longer one later starts from what is left.
    """

    def __init__(self, grain: Millis = EXACT) -> None:
        self._grain = int(grain)
        self._pieces: deque[_Piece] = deque()
        self._length = 0
        self._area = 0
        self._since = 0
        self._value: int | None = None
        self._window: int | None = None

    def add(self, at: Millis, value: int) -> None:
        """Take note that the value is ``value`` from ``at`` on; one told late holds from the newest on."""
        now = int(at)
        if self._value == value:
            return
        if self._value is not None:
            now = max(now, self._since)
            self._close(now)
        self._since, self._value = now, value

    def exact(self, now: Millis, window: Millis) -> tuple[int, int] | None:
        """Return the average over the ``window`` before ``now`` as top and bottom; None without any value."""
        self._window = int(window)
        return self._over(now, window)

    def _over(self, now: Millis, window: Millis) -> tuple[int, int] | None:
        if self._value is None:
            return None
        end = max(int(now), self._since)
        horizon = end - int(window)
        self._forget(horizon)
        held = end - max(self._since, horizon)
        area, length = self._area + held * self._value, self._length + held
        if not length:
            return self._value, 1
        if not self._pieces:
            return area, length
        # Of the oldest piece only what lies inside the window counts, at the piece's own average.
        oldest = self._pieces[0]
        outside = max(0, horizon - (oldest.end - oldest.length))
        return area * oldest.length - oldest.area * outside, (length - outside) * oldest.length

    def known(self, now: Millis) -> tuple[Millis, MicroUsd] | None:
        """Return since when a value is known, within the window last asked for, and its average since then.

        ``add`` with these begins an average that goes on as this one would; None without any value.
        """
        if self._value is None:
            return None
        first = self._pieces[0].end - self._pieces[0].length if self._pieces else self._since
        window = self._window or max(1, int(now) - first)
        found = self._over(now, Millis(window))
        since = Millis(max(first, int(now) - window))
        return None if found is None else (since, MicroUsd(found[0] // found[1]))

    def value(self, now: Millis, window: Millis) -> int | None:
        """Return the average rounded down; None without any value."""
        found = self.exact(now, window)
        return found[0] // found[1] if found else None

    def _close(self, now: int) -> None:
        """Turn the time the value held into pieces: the rest of its cell, whole cells, a new cell's start."""
        assert self._value is not None
        first = min(now, -(-self._since // self._grain) * self._grain)
        last = max(first, now // self._grain * self._grain)
        self._append(self._since, first, self._pieces.pop() if self._since < first and self._pieces else None)
        self._append(first, last)
        self._append(last, now)

    def _append(self, start: int, end: int, cell: _Piece | None = None) -> None:
        """Count the value from ``start`` to ``end``, as one piece with what its cell holds already."""
        assert self._value is not None
        if start < end:
            length, area = end - start, (end - start) * self._value
            self._length += length
            self._area += area
            self._pieces.append(
                _Piece(end, length + cell.length, area + cell.area) if cell else _Piece(end, length, area)
            )

    def _forget(self, horizon: int) -> None:
        while self._pieces and self._pieces[0].end <= horizon:
            gone = self._pieces.popleft()
            self._length -= gone.length
            self._area -= gone.area


class Rates(NamedTuple):
    """What a SOL and a euro cost in millionths of a dollar; None where that is not known, or too old."""

    sol_usd: UsdPerSol | None = None
    eur_usd: MicroUsd | None = None


@dataclass(slots=True)
class Oracle:
    """The price of a SOL last told, when, and its averages: a short one, and a long one by the hour.

    ``recent`` is for the damper, ``history`` for the window of the Pivot. ``firm``: it is good enough to
    convert at. ``eur_usd`` is what a euro costs in millionths of a dollar, None where nobody says so now.
    """

    sol_usd: UsdPerSol | None = None
    seen_at: Millis = Millis(0)
    recent: SlidingAverage = field(default_factory=lambda: SlidingAverage(MINUTE))
    history: SlidingAverage = field(default_factory=lambda: SlidingAverage(HOUR))
    firm: bool = True
    eur_usd: MicroUsd | None = None

    def on_price(self, at: Millis, sol_usd: UsdPerSol, *, firm: bool = True) -> None:
        """Take note of a price."""
        self.sol_usd, self.seen_at, self.firm = sol_usd, max(self.seen_at, at), firm
        self.recent.add(at, int(sol_usd))
        self.history.add(at, int(sol_usd))

    def rates(self, now: Millis, max_age: Millis) -> Rates:
        """Return what was told last, as far as it is not older than ``max_age``."""
        if self.sol_usd is None or now - self.seen_at > max_age:
            return Rates()
        return Rates(self.sol_usd, self.eur_usd)
