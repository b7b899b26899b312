"""Markouts: what our fills were worth a while later, in lamports.

    markout of a fill = signed size x (P a horizon later - price of the fill)

A bid gains when P is higher later, an ask when it is lower. The first P known at or after the horizon counts.
Sums and the fills' value are kept for each side and horizon, so that their ratio is a mean over money.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from bmv.core.decay import FINE
from bmv.model import Fill, Side
from bmv.units import BaseLots, Lamports, Millis, Ticks, notional

HORIZONS_S = (1, 5, 30, 60, 300, 900, 3600)


class Judged(NamedTuple):
    """A fill's number, a horizon in seconds, and P in fine ticks as it was then."""

    seq: int
    horizon: int
    price_fine: int


@dataclass(slots=True)
class Markout:
    """One side at one horizon: gain and value of the fills that are old enough."""

    fills: int = 0
    gain: Lamports = Lamports(0)
    value: Lamports = Lamports(0)

    def judge(self, side: Side, price: Ticks, size: BaseLots, price_fine: int, quote_lot_size: int) -> None:
        """Count a fill at ``price`` by P as it was later, in fine ticks."""
        moved = (1 if side is Side.BID else -1) * (price_fine - int(price) * FINE)
        self.fills += 1
        self.gain += Lamports(int(size) * moved * quote_lot_size // FINE)
        self.value += notional(price, size, quote_lot_size)

    def bps(self) -> float | None:
        """Return the mean gain in basis points of the value."""
        return int(self.gain) / int(self.value) * 10_000 if self.value else None


@dataclass(slots=True)
class Markouts:
    """The markouts of all horizons; ``quote_lot_size`` turns ticks x lots into lamports."""

    quote_lot_size: int
    sums: dict[tuple[Side, int], Markout] = field(
        default_factory=lambda: {(side, horizon): Markout() for side in Side for horizon in HORIZONS_S}
    )
    _waiting: dict[int, deque[Fill]] = field(default_factory=lambda: {each: deque() for each in HORIZONS_S})

    def filled(self, fill: Fill) -> None:
        """Note a fill of ours."""
        for waiting in self._waiting.values():
            waiting.append(fill)

    def priced(self, price_fine: int, now: Millis) -> list[Judged]:
        """Judge the fills whose horizon has passed at P, in fine ticks, and return which those are."""
        judged = []
        for horizon, waiting in self._waiting.items():
            while waiting and int(now - waiting[0].at) >= horizon * 1000:
                fill = waiting.popleft()
                markout = self.sums[fill.side, horizon]
                markout.judge(fill.side, fill.price, fill.size, price_fine, self.quote_lot_size)
                judged.append(Judged(fill.seq, horizon, price_fine))
        return judged
