"""How a run is told to end: by SIGINT and SIGTERM, once; impatience must not cut the cancelling short."""

import asyncio
import signal
import time
from collections.abc import Callable

GIVE_UP_AFTER_S = 30.0
"""Real seconds after the first signal; until then further ones change nothing."""


class Stopping:
    """Hear signals from now on: ``asked`` is set by the first, ``give_up`` is called by a very late one.

    ``reason`` is what the engine is told; until somebody asks it is the one given.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.asked = asyncio.Event()
        self.give_up: Callable[[], object] = self.asked.set
        self._first = 0.0

    def listen(self) -> None:
        """Hear the signals in the running loop."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._hear, number.name)

    def _hear(self, name: str) -> None:
        if not self.asked.is_set():
            self.reason = f"{name} received"
            self._first = time.monotonic()
            self.asked.set()
        elif time.monotonic() - self._first > GIVE_UP_AFTER_S:
            self.give_up()
