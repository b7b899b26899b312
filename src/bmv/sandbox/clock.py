"""Clocks: real time at any speed, and virtual time that jumps to the next timer.

``asyncio`` asks two things of a loop: ``time()`` and how long to wait for sockets. Both are answered here, so
that every timer and timeout of engine, sandbox and servers follows one clock.

Virtual time stands still while anything is ready: sockets are polled first, and only when nothing is ready
and nobody holds the clock does it jump to the next timer. Sockets must therefore deliver at once: virtual
runs talk over UNIX sockets, where a write is in the peer's queue when it returns.
"""

import asyncio
import selectors
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bmv.units import Millis

_REAL_POLL_S = 0.05


class _PacedSelector(selectors.DefaultSelector):
    """Wait for sockets as long as the loop's clock says."""

    loop: "SimulatedLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Poll, then let the loop spend ``timeout`` seconds of its own time."""
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if self.loop.speed is not None:
            return super().select(None if timeout is None else timeout / self.loop.speed)
        ready = super().select(0)
        if ready:
            return ready
        if self.loop.holds or timeout is None:
            return super().select(_REAL_POLL_S)
        self.loop.jump(timeout)
        return []


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose seconds pass ``speed`` times as fast as real ones; None is virtual time."""

    def __init__(self, speed: float | None) -> None:
        selector = _PacedSelector()
        selector.loop = self
        self.speed = speed
        self.holds = 0
        self._virtual = 0.0
        self._started = time.monotonic()
        super().__init__(selector)

    def time(self) -> float:
        """Return simulated seconds since the loop was made."""
        if self.speed is None:
            return self._virtual
        return (time.monotonic() - self._started) * self.speed

    def jump(self, seconds: float) -> None:
        """Move virtual time forward."""
        self._virtual += seconds


class LoopClock:
    """The ``Clock`` port over a simulated loop: ``start_ms`` is the calendar time at the loop's zero."""

    def __init__(self, loop: SimulatedLoop, start_ms: int) -> None:
        self._loop = loop
        self._start_ms = start_ms

    def now(self) -> Millis:
        """Return milliseconds since 1970, whole and never running backwards."""
        return Millis(self._start_ms + round(self._loop.time() * 1000))

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep virtual time still while the block runs."""
        self._loop.holds += 1
        try:
            yield
        finally:
            self._loop.holds -= 1
