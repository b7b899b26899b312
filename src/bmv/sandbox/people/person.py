"""What every person of the crowd is: somebody who acts now and then, and sometimes is away."""

from random import Random
from typing import Protocol

HOUR_MS = 3_600_000


class Person(Protocol):
    """Somebody with a place in the agenda."""

    def act(self, now: int) -> int:
        """Do what there is to do at ``now`` (ms) and return when to be asked again, later than ``now``."""
        ...


class Absences:
    """Seeded spells of absence: one starts every ``every_h`` hours on average and lasts ``hours``.

    Ask with times that never go back.
    """

    def __init__(self, random: Random, start_ms: int, every_h: float, hours: tuple[float, float]) -> None:
        self._random, self._every_h, self._hours = random, every_h, hours
        self._begins = self._ends = start_ms
        self._draw()

    def back_at(self, now: int) -> int | None:
        """Return when the absence that holds at ``now`` ends; None while there is none."""
        while now >= self._ends:
            self._draw()
        return self._ends if now >= self._begins else None

    def _draw(self) -> None:
        self._begins = self._ends + int(self._random.expovariate(1 / self._every_h) * HOUR_MS)
        self._ends = self._begins + int(self._random.uniform(*self._hours) * HOUR_MS)
