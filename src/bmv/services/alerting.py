"""Tell a person of what the engine reports, through every messenger that is configured.

A messenger that fails or is slow never holds up the engine: what waits is bounded, the oldest is dropped.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence

from bmv.chain.messengers import Messenger
from bmv.config import Settings
from bmv.errors import OutsideError
from bmv.events import Report
from bmv.observe.alerts import Alert, Gate
from bmv.observe.log import get_logger
from bmv.units import Millis

MOST_WAITING = 100


class Alerting:
    """Turn reports into messages; ``count`` hears of every message that could not be delivered."""

    def __init__(
        self,
        messengers: Sequence[Messenger],
        settings: Callable[[], Settings],
        market: str,
        count: Callable[[OutsideError], None],
    ) -> None:
        self._messengers, self._settings, self._market, self._count = messengers, settings, market, count
        self._gate = Gate()
        self._waiting: deque[Alert] = deque(maxlen=MOST_WAITING)
        self._arrived = asyncio.Event()
        self._log = get_logger("alerting")

    def heard(self, at: Millis, report: Report) -> None:
        """Take a report of the engine; most are nobody's business at night."""
        settings = self._settings()
        interval, per_hour = Millis(settings.alert_interval), settings.alert_max_per_hour
        held = self._gate.admit(report.name, at, interval, per_hour)
        if held is not None:
            self._waiting.append(Alert(at, report.name, report.fields, self._market, held))
            self._arrived.set()

    async def run(self) -> None:
        """Deliver for ever what was heard."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            await self._empty()

    async def finish(self, seconds: float) -> None:
        """Deliver what still waits, for a time at most: the last words are the important ones."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty(), seconds)

    async def _empty(self) -> None:
        while self._waiting:
            # It leaves when it was delivered, so that a cancelled delivery is made again.
            await self._deliver(alert := self._waiting[0])
            if self._waiting and self._waiting[0] is alert:
                self._waiting.popleft()

    async def _deliver(self, alert: Alert) -> None:
        await asyncio.gather(*(self._through(one, alert) for one in self._messengers))

    async def _through(self, messenger: Messenger, alert: Alert) -> None:
        try:
            await messenger.tell(alert)
        except OutsideError as error:
            self._count(error)
            self._log.warning("alert_not_delivered", name=alert.name, error=str(error))
