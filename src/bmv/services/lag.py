"""How late the event loop is: the longest delay of a timer since last asked."""

import asyncio

EVERY_S = 0.25


class Lag:
    """Measure while ``run`` runs; only where time is real, as virtual time is never late."""

    def __init__(self) -> None:
        self._worst: float | None = None

    def worst(self) -> float | None:
        """Return the longest delay in seconds since the last call; None before any was measured."""
        worst, self._worst = self._worst, None
        return worst

    async def run(self) -> None:
        """Set a timer again and again and see when it comes."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + EVERY_S
            await asyncio.sleep(EVERY_S)
            self._worst = max(self._worst or 0.0, loop.time() - due)
