"""The shell around ``decide``: one inbox, one decision at a time, one journal.

Ticks are conflated in the inbox; readings, outcomes and commands never are. Whatever goes wrong inside ends
in the one supervisor here: it is logged, and the engine halts (cancels everything) instead of going on.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from bmv.config import Settings
from bmv.core.decide import decide
from bmv.core.state import State
from bmv.errors import OutsideError, UnsafeState
from bmv.events import AnyEvent, BundleResolved, Finish, HaltRequested, Report, Tick
from bmv.model import Outcome
from bmv.observe.journal import Journal
from bmv.observe.log import get_logger
from bmv.ports import Clock
from bmv.services.dispatch import Dispatcher
from bmv.services.feed import Feed
from bmv.services.record import Record

MAX_CRASHES = 3


class Engine:
    """Run the engine from ``state`` until it has finished; ``run`` returns how it ended."""

    def __init__(
        self, state: State, settings: Settings, journal: Journal, record: Record, clock: Clock
    ) -> None:
        self.state, self.settings, self.record = state, settings, record
        self._journal, self._clock = journal, clock
        self._inbox: deque[AnyEvent] = deque()
        self._arrived = asyncio.Event()
        self._crashes = 0
        self._log = get_logger("engine")

    def emit(self, event: AnyEvent) -> None:
        """Put an event into the inbox."""
        if isinstance(event, Tick) and self._inbox and isinstance(self._inbox[-1], Tick):
            self._inbox[-1] = event
        else:
            self._inbox.append(event)
        self._arrived.set()

    def halt(self, reason: str) -> None:
        """Ask the engine to cancel everything, verify and end."""
        self.emit(HaltRequested(at=self._clock.now(), reason=reason))

    async def run(self, feed: Feed, dispatcher: Dispatcher) -> Finish:
        """Run until done; every task failing is a halt, three failures in a row are the end."""
        services = [
            asyncio.create_task(self._supervised("feed", feed.run)),
            asyncio.create_task(self._supervised("dispatch", dispatcher.run)),
        ]
        try:
            return await self._decide_on(feed, dispatcher)
        finally:
            for service in services:
                service.cancel()
            await asyncio.gather(*services, return_exceptions=True)

    async def _decide_on(self, feed: Feed, dispatcher: Dispatcher) -> Finish:
        while True:
            while self._inbox:
                event = self._inbox.popleft()
                finish = self._step(event, dispatcher)
                if isinstance(event, BundleResolved) and event.outcome is Outcome.LANDED:
                    # What landed must be seen soon, even if its notification is lost.
                    feed.refresh(event.slot)
                if finish is not None:
                    return finish
            self._arrived.clear()
            await self._arrived.wait()

    def _step(self, event: AnyEvent, dispatcher: Dispatcher) -> Finish | None:
        self._journal.event(event)
        try:
            self.state, approved = decide(self.state, event, self.settings)
        except UnsafeState as error:
            self._crash("decide", error)
            return None
        self.record.saw(event, self.state)
        finish: Finish | None = None
        for action in approved.actions:
            self._journal.action(action)
            self.record.did(action, event.at)
            if isinstance(action, Report):
                self._log.info(action.name, **action.fields)
            elif isinstance(action, Finish):
                finish = action
        for refusal in approved.refusals:
            self._log.debug("REFUSED", reason=refusal.reason, price=int(refusal.place.price))
        dispatcher.dispatch(approved)
        return finish

    async def _supervised(self, name: str, service: Callable[[], Awaitable[None]]) -> None:
        """Keep a service running; the one place that catches everything."""
        while True:
            try:
                await service()
            except Exception as error:  # noqa: BLE001 - the supervisor: log, halt, keep the lights on to cancel
                self._crash(name, error)
                await asyncio.sleep(1)

    def _crash(self, where: str, error: BaseException) -> None:
        self._crashes += 1
        if not isinstance(error, OutsideError):
            self.record.errors[f"{where}_{type(error).__name__}"] += 1
        self._log.error("crash", where=where, error=repr(error))
        if self._crashes <= MAX_CRASHES:
            self.halt(f"{where} failed: {type(error).__name__}")
