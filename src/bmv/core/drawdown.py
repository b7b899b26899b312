"""The drawdown stop: what trading has lost since its best moment, and what follows from it (SPEC 7).

Rules of this file
- The gain is built from causes, never from balances: each fill against P, each move of P on what the engine
  bought, each cost. Transfers in and out are no gain and no loss. It telescopes: while the engine holds what
  it bought, gain = SOL received - SOL paid - costs + (base bought net) x P, exactly.
- The team's own stock is not the engine's bet: while more was sold than bought, a move of P counts nothing.
- Lost = best gain in DRAWDOWN_WINDOW (in 288ths of it) - gain, in basis points of what there was before it:
  SOL of the wallets + base bought at P + what was lost.
- A stage is entered at its limit and left when half of that is regained, or the best moment is too long ago.
- Integers: the gain is lamports x FINE.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum

from bmv.config import Settings
from bmv.core.decay import BPS, FINE
from bmv.model import Fill, Side
from bmv.units import BaseLots, Lamports, Millis

BUCKETS = 288
NEVER_BPS = 10_000


class Stage(IntEnum):
    """How far the stop has gone; each stage includes those before it, but for the halt, which is final."""

    NONE = 0
    WIDEN = 1
    ONE_SIDE = 2
    HALT = 3


_STAGES = tuple(Stage)


@dataclass(slots=True)
class Drawdown:
    """The gain so far, its best moments, and the stage reached; ``mark`` is the P it was last counted at.

    ``peaks`` holds (bucket of time, gain), falling, the oldest first; ``losing`` the side of the last stop.
    """

    gain: int = 0
    mark: int = 0
    peaks: deque[tuple[int, int]] = field(default_factory=deque)
    stage: Stage = Stage.NONE
    losing: Side = Side.BID

    def on_fill(self, fill: Fill, quote_lot_size: int) -> None:
        """Count a fill of ours against P, and its rebate and fee."""
        signed = int(fill.size) if fill.side is Side.BID else -int(fill.size)
        if self.mark:
            self.gain += signed * (self.mark - int(fill.price) * FINE) * quote_lot_size
        self.gain += int(fill.rebate - fill.fee) * FINE

    def on_cost(self, lamports: Lamports) -> None:
        """Count what a bundle cost."""
        self.gain -= int(lamports) * FINE

    def on_price(self, price_fine: int, bought: BaseLots, quote_lot_size: int) -> None:
        """Count the move of P on what the engine bought net (after all fills told so far)."""
        if self.mark:
            self.gain += max(0, int(bought)) * (price_fine - self.mark) * quote_lot_size
        self.mark = price_fine

    def lost_bps(
        self, now: Millis, sol: Lamports, bought: BaseLots, quote_lot_size: int, window: Millis
    ) -> int:
        """Return the loss since the best moment of the window, in parts of what there was then."""
        lost = self._peak(int(now), int(window)) - self.gain
        capital = int(sol) * FINE + max(0, int(bought)) * self.mark * quote_lot_size
        return lost * BPS // (capital + lost) if lost else 0

    def judge(self, lost_bps: int, bought: BaseLots, settings: Settings) -> bool:
        """Move to the stage that ``lost_bps`` calls for; return whether it is another one."""
        before, self.stage = self.stage, _STAGES[0]
        limits = settings.drawdown_widen, settings.drawdown_one_side, settings.drawdown_halt
        for stage, limit in zip(_STAGES[1:], map(int, limits), strict=True):
            needed = limit if stage > before else -(-limit // 2)
            if limit < NEVER_BPS and lost_bps >= needed:
                self.stage = stage
        if self.stage is before:
            return False
        if before < Stage.ONE_SIDE <= self.stage:
            # Bids add to a holding that loses; where nothing is held, asks sold too low.
            self.losing = Side.BID if bought > BaseLots(0) else Side.ASK
        return True

    def _peak(self, now: int, window: int) -> int:
        """Return the best gain of the window, now included."""
        bucket = now * BUCKETS // window
        while self.peaks and self.peaks[0][0] <= bucket - BUCKETS:
            self.peaks.popleft()
        while self.peaks and self.peaks[-1][1] <= self.gain:
            self.peaks.pop()
        if not self.peaks or self.peaks[-1][0] != bucket:
            self.peaks.append((bucket, self.gain))
        return self.peaks[0][1]
