"""How a run is told to end: by SIGINT and SIGTERM, once; impatience must not cut the cancelling short.

SIGUSR1 raises the kill switch: the same end, and latched.
"""

import asyncio
import signal
import time
from collections.abc import Callable

KILL_SIGNAL = "SIGUSR1 received"
GIVE_UP_AFTER_S = 30.0
"""Real seconds after the first signal; until then further ones change nothing."""


class Stopping:
    """Hear signals from now on: ``asked`` is set by the first, ``give_up`` is called by a very late one.

    ``reason`` is what the engine is told; until somebody asks it is the one given. ``killed`` says that the
    kill switch was raised, also after an orderly end was asked for.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.killed = False
        self.asked = asyncio.Event()
        self.give_up: Callable[[], object] = self.asked.set
        self._first = 0.0

    def listen(self) -> None:
        """Hear the signals in the running loop; a kill that came before is heard now (``cli/entry.py``)."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._hear, number.name)
        loop.add_signal_handler(signal.SIGUSR1, self._kill)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})

    def ordered(self, reason: str) -> bool:
        """Say whether a halt for this reason is the orderly end asked for, and no kill came after."""
        return reason == self.reason and not self.killed

    def _kill(self) -> None:
        self._hear(signal.SIGUSR1.name)
        self.killed, self.reason = True, KILL_SIGNAL

    def _hear(self, name: str) -> None:
        if not self.asked.is_set():
            self.reason = f"{name} received"
            self._first = time.monotonic()
            self.asked.set()
        elif time.monotonic() - self._first > GIVE_UP_AFTER_S:
            self.give_up()
