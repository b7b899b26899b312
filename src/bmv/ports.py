"""What the shell needs from the world, where two real implementations exist."""

from contextlib import AbstractContextManager
from typing import Protocol

from bmv.units import Millis


class Clock(Protocol):
    """The only source of time; the event loop's own timers follow it."""

    def now(self) -> Millis:
        """Return milliseconds since 1970."""
        ...

    def hold(self) -> AbstractContextManager[None]:
        """Keep a virtual clock from jumping while something real is awaited (file, thread, other process)."""
        ...
