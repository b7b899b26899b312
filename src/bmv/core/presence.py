"""Quote presence: how tight the inside spread is, by how long nobody has traded (SPEC 2 and 3.3).

Rules of this file
- Each IDLE_INTERVAL without a trade narrows the spread by a quarter of (INSIDE - MIN), down to MIN; a trade,
  anybody's, widens it back to INSIDE. Real quotes at real risk, never a trade of our own.
- While ``widened`` (a drawdown) it is twice INSIDE, however long nobody trades.
- ``quoted`` is what the standing ladder was built with; a step is due when that is no longer right.
"""

from dataclasses import dataclass

from bmv.config import Settings
from bmv.units import Bps, Millis

STEPS = 4


@dataclass(slots=True)
class Presence:
    """What idle tightening remembers: when the last trade (or the start) was, and the spread last quoted."""

    since: Millis
    quoted: Bps | None = None
    widened: bool = False

    def spread_bps(self, now: Millis, settings: Settings) -> Bps:
        """Return the inside spread for ``now``, between MIN_SPREAD and INSIDE_SPREAD unless widened."""
        if self.widened:
            return settings.inside_spread * 2
        idle = max(0, int(now) - int(self.since))
        steps = min(STEPS, idle // int(settings.idle_interval))
        room = int(settings.inside_spread) - int(settings.min_spread)
        return Bps(int(settings.inside_spread) - room * steps // STEPS)

    def on_trade(self, at: Millis) -> None:
        """Take note of a trade."""
        self.since = max(self.since, at)

    def step_due(self, now: Millis, settings: Settings) -> bool:
        """Return whether the spread last quoted is no longer the right one."""
        return self.quoted is not None and self.quoted != self.spread_bps(now, settings)

    def quote(self, now: Millis, settings: Settings) -> Bps:
        """Return the inside spread for a ladder built at ``now`` and remember it as quoted."""
        self.quoted = self.spread_bps(now, settings)
        return self.quoted
