"""Real time, for tests that talk to real servers."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from bmv.units import Millis


class RealClock:
    """The ``Clock`` port over the machine's clock, which nothing can hold."""

    def now(self) -> Millis:
        return Millis(int(time.time() * 1000))

    @contextmanager
    def hold(self) -> Iterator[None]:
        yield
