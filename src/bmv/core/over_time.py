"""Figures over time, exact: sums of value x milliseconds, and the time between trades."""

from collections import deque
from dataclasses import dataclass, field

from bmv.units import Millis

CADENCE_TRADES = 100


@dataclass(slots=True)
class TimeWeighted:
    """The time average of a number that holds from one ``set`` to the next; None is time not counted."""

    value: int | None = None
    since: Millis = Millis(0)
    weighted: int = 0
    millis: int = 0

    def set(self, value: int | None, now: Millis) -> None:
        """Count the last value up to ``now`` and hold another from then on."""
        self.weighted, self.millis = self.sums(now)
        self.value, self.since = value, now

    def sums(self, now: Millis) -> tuple[int, int]:
        """Return value x milliseconds, and milliseconds, up to ``now``."""
        passed = max(0, int(now - self.since)) if self.value is not None else 0
        return self.weighted + (self.value or 0) * passed, self.millis + passed

    def mean(self, now: Millis) -> float | None:
        """Return the average up to ``now``; None of no time."""
        weighted, millis = self.sums(now)
        return weighted / millis if millis else None


@dataclass(slots=True)
class Cadence:
    """How often the market trades: the mean time between the newest trades."""

    times: deque[Millis] = field(default_factory=lambda: deque(maxlen=CADENCE_TRADES))

    def traded(self, at: Millis) -> None:
        """Note a trade."""
        self.times.append(at)

    def seconds(self) -> float | None:
        """Return the mean time between trades; None before the second one."""
        if len(self.times) < 2:
            return None
        return int(self.times[-1] - self.times[0]) / 1000 / (len(self.times) - 1)
